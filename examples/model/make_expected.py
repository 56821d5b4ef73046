"""Writes expected.json: what Pillow and onnxruntime answer for each shipped picture.

Needs only Pillow, numpy and onnxruntime. As Pillow does by default, an EXIF orientation is not
applied; for the pictures that carry one, `upright_top5` has the answers with it applied.
"""

import argparse
import json
import pathlib

import numpy as np
import onnxruntime
import PIL
from PIL import Image, ImageOps, JpegImagePlugin

from preprocess import normalise, resize_and_crop, softmax

FOLDER = pathlib.Path(__file__).parent
EXIF_ORIENTATION = 0x0112
SUBSAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def top5(session, labels, image):
    pixels = resize_and_crop(image.convert("RGB"))
    scores = softmax(session.run(None, {"input": normalise(pixels[None])})[0][0])
    best = np.argsort(-scores, kind="stable")[:5]
    return [[int(index), labels[index], float(scores[index])] for index in best]


def describe(session, labels, path):
    image = Image.open(path)
    answer = {
        "file": path.name,
        "label": path.stem.split("_", 1)[1].replace("_", " "),
        "width": image.width,
        "height": image.height,
        "mode": image.mode,
        "file_format": image.format,
        "subsampling": None,
    }
    assert answer["label"] in labels
    if image.format == "JPEG":
        answer["subsampling"] = SUBSAMPLINGS.get(JpegImagePlugin.get_sampling(image))
        answer["progressive"] = bool(image.info.get("progressive"))
    orientation = image.getexif().get(EXIF_ORIENTATION)
    answer["top5"] = top5(session, labels, image)
    if orientation:
        answer["orientation"] = orientation
        answer["upright_top5"] = top5(session, labels, ImageOps.exif_transpose(image))
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the file instead of writing it")
    check = parser.parse_args().check
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(FOLDER / "model.onnx", options, providers=["CPUExecutionProvider"])
    labels = (FOLDER / "labels.txt").read_text().splitlines()
    pictures = [describe(session, labels, path) for path in sorted((FOLDER / "pictures").iterdir())]
    right = sum(picture["top5"][0][1] == picture["label"] for picture in pictures)
    path = FOLDER / "expected.json"
    if check:
        old = json.loads(path.read_text())["pictures"]
        assert [p["file"] for p in old] == [p["file"] for p in pictures]
        worst = max(
            abs(a[2] - b[2]) for x, y in zip(old, pictures) for a, b in zip(x["top5"], y["top5"])
        )
        same = sum([a[0] for a in x["top5"]] == [b[0] for b in y["top5"]] for x, y in zip(old, pictures))
        print(f"same five classes in the same order: {same} of {len(old)}; largest difference {worst:.2e}")
        return
    made_with = {"pillow": PIL.__version__, "onnxruntime": onnxruntime.__version__}
    # One line a picture, so that a change shows where it is.
    lines = ",\n".join("  " + json.dumps(picture) for picture in pictures)
    path.write_text(
        f'{{"made_with": {json.dumps(made_with)},\n "top1_right": {right},\n "pictures": [\n{lines}\n]}}\n'
    )
    print(f"{len(pictures)} pictures, {right} right")


if __name__ == "__main__":
    main()
