"""Draws the training pictures into numbered files, which train.py then reads into memory.

A file that is already there is kept, so a run that was cut off goes on where it stopped.
"""

import argparse
import multiprocessing
import pathlib

import numpy as np

from backgrounds import TRAINING_PHOTOGRAPHS, load_photographs
from classes import CLASSES
from ranges import TRAINING_PLAIN, TRAINING_WIDE
from render import Renderer, jpeg_round_trip

SIDE = 128
PER_FILE = 1000
SEED = 1_000

_renderer = None


def picture(index):
    ranges = TRAINING_PLAIN if index // len(CLASSES) % 2 == 0 else TRAINING_WIDE
    image, rng = _renderer.picture([SEED, index], index % len(CLASSES), (SIDE, SIDE), ranges)
    if rng.random() < ranges.jpeg_share:
        quality = int(rng.integers(ranges.quality[0], ranges.quality[1] + 1))
        image = jpeg_round_trip(image, quality, int(rng.integers(3)))
    return np.asarray(image)


def write_file(job):
    global _renderer
    folder, number = job
    path = folder / f"{number:04}.npy"
    if path.exists():
        return
    if _renderer is None:
        _renderer = Renderer(load_photographs(TRAINING_PHOTOGRAPHS))
    first = number * PER_FILE
    pixels = np.stack([picture(index) for index in range(first, first + PER_FILE)])
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.save(file, pixels)
    part.rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--per-class", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    files = arguments.per_class * len(CLASSES) // PER_FILE
    jobs = [(arguments.folder, number) for number in range(files)]
    with multiprocessing.Pool(arguments.processes) as pool:
        for done, _ in enumerate(pool.imap(write_file, jobs), 1):
            print(f"{done} of {files} files", flush=True)


if __name__ == "__main__":
    main()
