"""Writes the 60 shipped pictures: drawn by lot from the test set, in the formats people send.

Which pictures, and which of them gets which format, is decided by the seed. Formats without loss go
to the smallest frames, to keep the folder small.
"""

import argparse
import pathlib
import re

import numpy as np
from PIL import Image, ImageFile

from classes import LABELS
from ranges import TEST
from test_pictures import COUNT, TestSet

FOLDER = pathlib.Path(__file__).parent / "pictures"
SEED = 5
# (kind, options) and how often it occurs; 60 in all.
WITH_LOSS = (
    [("jpeg", {"subsampling": "4:4:4"})] * 6
    + [("jpeg", {"subsampling": "4:2:2"})] * 6
    + [("jpeg", {"subsampling": "4:2:0"})] * 7
    + [("jpeg", {"subsampling": "4:4:4", "progressive": True})] * 2
    + [("jpeg", {"subsampling": "4:2:2", "progressive": True})] * 2
    + [("jpeg", {"subsampling": "4:2:0", "progressive": True})] * 4
    + [("jpeg", {"subsampling": "4:2:0", "restart_marker_rows": 1})] * 2
    + [("jpeg", {"grey": True})] * 2
    + [("jpeg", {"subsampling": "4:2:0", "orientation": o}) for o in (3, 6, 6, 8)]
    + [("webp", {})] * 7
    + [("webp", {"alpha": True})]
)
WITHOUT_LOSS = (
    [("png", {"mode": "RGB"})] * 5
    + [("png", {"mode": "RGBA"})] * 4
    + [("png", {"mode": "P"})] * 3
    + [("png", {"mode": "L"})]
    + [("webp", {"lossless": True})] * 4
)
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
# What to do to an upright picture so that a reader who obeys the tag sees it upright again.
STORED_FOR = {
    3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270,
}
EXIF_ORIENTATION = 0x0112
# Pillow's JPEG writer fails at a restart marker when its buffer is full: let it hold a whole picture.
ImageFile.MAXBLOCK = 1 << 22


def add_alpha(image):
    """A see-through gradient, nowhere clear; convert("RGB") drops it and leaves the colours."""
    ramp = np.linspace(70, 255, image.width, dtype=np.float32)
    alpha = np.broadcast_to(ramp, (image.height, image.width)).astype(np.uint8)
    image = image.copy()
    image.putalpha(Image.fromarray(alpha))
    return image


def save_jpeg(image, path, quality, orientation=None, grey=False, **options):
    if grey:
        image = image.convert("L")
    if orientation:
        image = image.transpose(STORED_FOR[orientation])
        exif = Image.Exif()
        exif[EXIF_ORIENTATION] = orientation
        options["exif"] = exif
    image.save(path, "JPEG", quality=quality, **options)


def save_png(image, path, mode):
    if mode == "RGBA":
        image = add_alpha(image)
    elif mode == "P":
        image = image.quantize(256)
    elif mode == "L":
        image = image.convert("L")
    image.save(path, "PNG", optimize=True)


def save_webp(image, path, quality, lossless=False, alpha=False):
    if alpha:
        image = add_alpha(image)
    image.save(path, "WEBP", quality=quality, lossless=lossless, method=6, exact=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    folder = parser.parse_args().folder
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        if re.fullmatch(r"\d{3}_.*", old.name):
            old.unlink()

    rng = np.random.default_rng(SEED)
    count = len(WITH_LOSS) + len(WITHOUT_LOSS)
    chosen = sorted(rng.choice(COUNT, count, replace=False).tolist())
    test_set = TestSet()
    frames = [test_set.frame(index) for index in chosen]
    by_area = np.argsort([image.width * image.height for image, _ in frames], kind="stable")
    encodings = {}
    small, large = by_area[: len(WITHOUT_LOSS)], by_area[len(WITHOUT_LOSS) :]
    for places, kinds in ((small, WITHOUT_LOSS), (large, WITH_LOSS)):
        for place, kind in zip(places.tolist(), rng.permutation(len(kinds)).tolist()):
            encodings[place] = kinds[kind]

    for number, (index, (image, picture_rng)) in enumerate(zip(chosen, frames)):
        kind, options = encodings[number]
        quality = int(picture_rng.integers(TEST.quality[0], TEST.quality[1] + 1))
        name = f"{number:03}_{LABELS[test_set.label(index)].replace(' ', '_')}{SUFFIXES[kind]}"
        if kind == "jpeg":
            save_jpeg(image, folder / name, quality, **options)
        elif kind == "webp":
            save_webp(image, folder / name, quality, **options)
        else:
            save_png(image, folder / name, **options)


if __name__ == "__main__":
    main()
