#!/usr/bin/env python3
"""Writes cases.txt: sizes, filter and box of resizes, with the SHA-256 of the bytes that Pillow gives.

Run it with Pillow 13 (older versions take the two passes in another order for some sizes):
    python make_resize.py > cases.txt

Each line: filter input_height input_width output_height output_width left top right bottom sha256
The box is written as Python floats that are exact in 32 bits. The input's bytes are the high bytes of
SplitMix64, seeded with input_height * 31 + input_width, in the order row, column, channel.
"""

import hashlib
import random
import struct

import PIL
from PIL import Image

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
MASK = (1 << 64) - 1


def noise(seed, length):
    state, out = seed, bytearray()
    for _ in range(length):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append((z ^ (z >> 31)) >> 56)
    return bytes(out)


def picture(height, width, cache={}):
    if (height, width) not in cache:
        data = noise(height * 31 + width, height * width * 3)
        cache[height, width] = Image.frombytes("RGB", (width, height), data)
    return cache[height, width]


def single(value):
    """The nearest number that 32 bits hold."""
    return struct.unpack("f", struct.pack("f", value))[0]


def cases():
    sides = [((1, 1), (1, 1)), ((1, 1), (5, 7)), ((1, 40), (7, 3)), ((40, 1), (3, 7)), ((2, 3), (1, 1)),
             ((33, 17), (1, 1)), ((61, 83), (1, 9)), ((61, 83), (9, 1)), ((61, 83), (61, 83)),
             ((61, 83), (30, 41)), ((61, 83), (122, 166)), ((61, 83), (61, 40)), ((61, 83), (40, 83)),
             ((61, 83), (60, 84)), ((64, 64), (32, 32)), ((64, 64), (16, 16)), ((64, 64), (224, 224)),
             ((97, 101), (13, 89)), ((97, 101), (211, 7)), ((160, 120), (37, 53)), ((120, 160), (96, 128)),
             ((255, 257), (224, 224)), ((300, 7), (5, 200)), ((7, 300), (200, 5)), ((31, 300), (31, 299)),
             ((128, 128), (127, 129)), ((200, 150), (24, 24)), ((3, 3), (100, 100))]
    for name in FILTERS:
        for (height, width), output in sides:
            yield name, (height, width), output, (0.0, 0.0, float(width), float(height))
    rng = random.Random(4)
    while True:
        name = rng.choice(list(FILTERS))
        height, width = rng.choice([1, 2, 3, 9, 20, 50, 77, 130]), rng.choice([1, 2, 4, 11, 21, 64, 99, 140])
        output = rng.randint(1, 150), rng.randint(1, 150)
        kind = rng.choice(["whole", "integer", "integer", "fraction", "fraction", "fraction", "same"])
        if kind == "whole":
            box = (0.0, 0.0, float(width), float(height))
        elif kind == "integer":
            left, top = rng.randrange(width), rng.randrange(height)
            box = (float(left), float(top), float(rng.randint(left + 1, width)), float(rng.randint(top + 1, height)))
        elif kind == "fraction":
            left, top = rng.uniform(0, width * 0.8), rng.uniform(0, height * 0.8)
            right, bottom = rng.uniform(left + 0.1 * width, width), rng.uniform(top + 0.1 * height, height)
            box = tuple(single(edge) for edge in (left, top, right, bottom))
            if box[2] > width or box[3] > height:
                continue
        else:
            # An integer box as large as the output: the passes are left out, unless the box is moved.
            output = rng.randint(1, height), rng.randint(1, width)
            left, top = rng.choice([0, width - output[1]]), rng.choice([0, height - output[0]])
            box = (float(left), float(top), float(left + output[1]), float(top + output[0]))
        yield name, (height, width), output, box


def main():
    print(f"# Made by make_resize.py with Pillow {PIL.__version__}.")
    for index, (name, (height, width), output, box) in enumerate(cases()):
        if index == 620:
            break
        out = picture(height, width).resize((output[1], output[0]), FILTERS[name], box=box)
        digest = hashlib.sha256(out.tobytes()).hexdigest()
        print(name, height, width, *output, *(repr(edge) for edge in box), digest)


main()
