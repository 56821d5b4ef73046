"""Writes full-size ResNets in ONNX with random weights, for tests and benches of real shapes.

Nothing it writes is committed. Needs only numpy and onnx, and a few seconds a network.
"""

import argparse
import pathlib

import onnx

from resnet_builder import NETWORKS, Architecture, onnx_model, random_state


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--network", choices=NETWORKS, action="append",
                        help="may be given more than once; resnet18 and resnet50 if left out")
    parser.add_argument("--batch-norm", choices=("folded", "separate"), default="folded")
    parser.add_argument("--width", type=int, default=64, help="channels of the stem")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--side", type=int, default=224, help="of the input picture; 0: any")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for network in arguments.network or ("resnet18", "resnet50"):
        architecture = Architecture.named(network, arguments.width, arguments.classes)
        state = random_state(architecture, arguments.seed)
        model = onnx_model(architecture, state, arguments.batch_norm == "folded", side=arguments.side or None)
        width = "" if arguments.width == 64 else f"_width{arguments.width}"
        path = arguments.folder / f"{network}{width}_{arguments.batch_norm}.onnx"
        onnx.save(model, path)
        print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
