#!/usr/bin/env python3
"""Writes cases.jsonl: preprocessing specs and picture sizes, with the SHA-256 of the input tensor that
torchvision's rules give on Pillow.

    pip install pillow==13.0.0 numpy
    python make_preprocess.py > cases.jsonl

With torchvision installed, `--check` compares the rules below with torchvision itself.
Pictures are the same noise as in ../resize/make_resize.py. `bytes` is the SHA-256 before normalisation,
`tensor` that of the float32 values, little-endian, in the layout's order.
"""

import hashlib
import json
import sys

import numpy as np
from PIL import Image, ImageOps

MASK = (1 << 64) - 1
FILTERS = {name: getattr(Image.Resampling, name.upper()) for name in
           ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos")}
IMAGENET = dict(scale=1 / 255, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
HALF = dict(scale=1 / 255, mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
CLIP = dict(scale=1 / 255, mean=[0.48145466, 0.4578275, 0.40821073], std=[0.26862954, 0.26130258, 0.27577711])
SIGNED = dict(scale=1 / 127.5, mean=[1.0, 1.0, 1.0], std=[1.0, 1.0, 1.0])
PLAIN = dict(scale=1.0, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])


def spec(resize, crop, filter="bilinear", layout="nchw", norm=IMAGENET):
    return dict(resize=resize, crop=crop, filter=filter, layout=layout, **norm)


SPECS = [
    spec({"shorter_side": 256}, [224, 224]),
    spec({"shorter_side": 232}, [224, 224], "bilinear", "nhwc"),
    spec({"shorter_side": 235}, [224, 224], "bicubic"),
    spec({"shorter_side": 224}, [224, 224], "bicubic", norm=CLIP),
    spec({"shorter_side": 96}, [96, 96], "lanczos", norm=HALF),
    spec({"shorter_side": 70}, [64, 61], "hamming"),
    spec({"shorter_side": 33}, [31, 32], "box", norm=PLAIN),
    spec({"shorter_side": 65}, [64, 64], "nearest"),
    spec({"shorter_side": 40}, [56, 56]),
    spec({"shorter_side": 40}, [41, 300], "bicubic", "nhwc"),
    spec({"exact": [224, 224]}, None),
    spec({"exact": [112, 96]}, None, "bicubic", norm=HALF),
    spec({"exact": [64, 80]}, [51, 51], "lanczos"),
    spec({"exact": [37, 35]}, None, "nearest", "nhwc", SIGNED),
    spec({"letterbox": [128, 128], "fill": [114, 114, 114]}, None),
    spec({"letterbox": [96, 160], "fill": [0, 0, 0]}, None, "bicubic"),
    spec({"letterbox": [100, 61], "fill": [255, 1, 7]}, [80, 80], "bilinear", "nhwc"),
    spec(None, [32, 32]),
    spec(None, [75, 64], norm=SIGNED),
    spec(None, [1, 1], norm=PLAIN),
]
SIZES = [(35, 45), (45, 35), (1, 1), (300, 7), (7, 300), (97, 101), (224, 224), (256, 300), (480, 359)]


def noise(height, width, cache={}):
    if (height, width) not in cache:
        state, out = height * 31 + width, bytearray()
        for _ in range(height * width * 3):
            state = (state + 0x9E3779B97F4A7C15) & MASK
            z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
            z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
            out.append((z ^ (z >> 31)) >> 56)
        cache[height, width] = Image.frombytes("RGB", (width, height), bytes(out))
    return cache[height, width]


def shorter_side(image, size, filter):
    width, height = image.size
    short, long = min(width, height), max(width, height)
    longer = int(size * long / short)
    target = (size, longer) if width <= height else (longer, size)
    return image if target == image.size else image.resize(target, filter)


def center_crop(image, crop):
    height, width = crop
    w, h = image.size
    if width > w or height > h:
        left = (width - w) // 2 if width > w else 0
        top = (height - h) // 2 if height > h else 0
        right = (width - w + 1) // 2 if width > w else 0
        bottom = (height - h + 1) // 2 if height > h else 0
        image = ImageOps.expand(image, (left, top, right, bottom), 0)
        w, h = image.size
    top, left = int(round((h - height) / 2.0)), int(round((w - width) / 2.0))
    return image.crop((left, top, left + width, top + height))


def preprocess(image, spec):
    resize, filter = spec["resize"] or {}, FILTERS[spec["filter"]]
    if "shorter_side" in resize:
        image = shorter_side(image, resize["shorter_side"], filter)
    elif "exact" in resize:
        image = image.resize(resize["exact"][::-1], filter)
    elif "letterbox" in resize:
        image = ImageOps.pad(image, resize["letterbox"][::-1], filter, color=tuple(resize["fill"]))
    if spec["crop"]:
        image = center_crop(image, spec["crop"])
    data = np.asarray(image)
    scale = np.float32(spec["scale"])
    divisor = np.round(2 / scale) / 2
    values = data.astype(np.float32)
    values = values / np.float32(divisor) if np.float32(1) / np.float32(divisor) == scale else values * scale
    values = (values - np.array(spec["mean"], np.float32)) / np.array(spec["std"], np.float32)
    if spec["layout"] == "nchw":
        values = values.transpose(2, 0, 1)
    return data, np.ascontiguousarray(values)


def check():
    """The rules above against torchvision, where it has the step."""
    from torchvision.transforms import functional as F
    from torchvision.transforms import InterpolationMode as Mode

    compared = 0
    for spec in SPECS:
        resize = spec["resize"] or {}
        if "letterbox" in resize or spec["scale"] != 1 / 255:
            continue
        for height, width in SIZES:
            if resize.get("shorter_side", 0) * max(height, width) // min(height, width) > 5000:
                continue
            image = noise(height, width)
            mine = preprocess(image, {**spec, "layout": "nchw"})[1]
            mode = Mode(spec["filter"])
            if "shorter_side" in resize:
                image = F.resize(image, resize["shorter_side"], mode)
            elif "exact" in resize:
                image = F.resize(image, resize["exact"], mode)
            if spec["crop"]:
                image = F.center_crop(image, spec["crop"])
            theirs = F.normalize(F.to_tensor(image), spec["mean"], spec["std"]).numpy()
            assert (mine == theirs).all() and mine.shape == theirs.shape, (spec, height, width)
            compared += 1
    print(compared, "cases equal torchvision")


def main():
    for spec in SPECS:
        for height, width in SIZES:
            data, values = preprocess(noise(height, width), spec)
            case = dict(spec, input=[height, width])
            case["bytes"] = hashlib.sha256(data.tobytes()).hexdigest()
            case["tensor"] = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
            print(json.dumps(case))


check() if "--check" in sys.argv else main()
