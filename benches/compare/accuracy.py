"""How far libvision's logits are from float64's, as a part of the largest logit, and whether top-1 agrees.

Prints one JSON line for each network, instruction set and choice of algorithms. The pictures are seeded and unlike
each other. Where the float64 reference has been computed before, FOLDER/NETWORK.logits64.npy is read.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import networks  # noqa: F401  (makes the tests' builders importable)
import numpy as np
from contestants import OURS
from facts import cpu_model
from float64_reference import Reference
from line_protocol import SIDE
from numpy_layers import random_pictures

LIMIT = 1e-4
BATCH = 4


def exact(folder: Path, network: str, pictures: np.ndarray) -> np.ndarray:
    """Logits in float64, from the file of an earlier run if there is one for as many pictures."""
    kept = folder / f"{network}.logits64.npy"
    if kept.exists() and len(logits := np.load(kept)) == len(pictures):
        return logits
    reference = Reference(folder / f"{network}.onnx")
    parts = []
    for start in range(0, len(pictures), BATCH):
        parts.append(reference.logits(pictures[start : start + BATCH]))
        print(f"{network}: {start + len(parts[-1])} of {len(pictures)} in float64", file=sys.stderr, flush=True)
    np.save(kept, np.concatenate(parts))
    return np.load(kept)


def ours(folder: Path, network: str, pictures: np.ndarray, isa: str, precise: bool) -> np.ndarray:
    environment = {**os.environ, "LIBVISION_CPU_ISA": isa}
    if not isa:
        del environment["LIBVISION_CPU_ISA"]
    with tempfile.NamedTemporaryFile() as file:
        pictures.tofile(file.name)
        command = [OURS, "serve", folder / f"{network}.onnx", "--threads", "1", "--batch", str(len(pictures)),
                   "--input", file.name, *(["--precise"] if precise else [])]
        done = subprocess.run(command, input="logits\n", env=environment, text=True, capture_output=True, check=True)
    return np.array(done.stdout.splitlines()[1].split(), np.float64).reshape(len(pictures), -1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where make_networks.py wrote the networks")
    parser.add_argument("--networks", default="resnet18,resnet50", help="separated by commas; ResNets only")
    parser.add_argument("--isa", default="default,avx2", help="separated by commas")
    parser.add_argument("--pictures", type=int, default=100)
    arguments = parser.parse_args()
    pictures = random_pictures(np.random.default_rng(3), arguments.pictures, SIDE)
    failed = False
    for network in arguments.networks.split(","):
        reference = exact(arguments.folder, network, pictures)
        scale = np.abs(reference).max(1)
        for isa in arguments.isa.split(","):
            for precise in (False, True):
                name = "" if isa == "default" else isa
                found = ours(arguments.folder, network, pictures, name, precise)
                difference = np.abs(found - reference).max(1) / scale
                agreeing = int((found.argmax(1) == reference.argmax(1)).sum())
                failed |= difference.max() > LIMIT or agreeing < len(pictures)
                print(json.dumps({
                    "network": network, "isa": isa, "precise": precise, "pictures": len(pictures),
                    "largest_difference": float(f"{difference.max():.2g}"),
                    "median_difference": float(f"{np.median(difference):.2g}"), "at_most": LIMIT,
                    "top1_agree": agreeing, "classes_found": len(set(found.argmax(1))),
                    "date": datetime.date.today().isoformat(), "cpu": cpu_model(),
                }), flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
