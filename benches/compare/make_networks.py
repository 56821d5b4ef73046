"""Writes the networks that the comparison measures: ONNX, seeded random weights, batch norm folded.

Nothing it writes is committed. Needs only numpy and onnx, and a few seconds a network.
"""

import argparse
from pathlib import Path

import networks
import onnx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--network", choices=networks.NAMES, action="append",
                        help="may be given more than once; all if left out")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.network or networks.NAMES:
        path = arguments.folder / f"{name}.onnx"
        onnx.save(networks.build(name, arguments.seed), path)
        print(f"{path}: {path.stat().st_size} bytes", flush=True)


if __name__ == "__main__":
    main()
