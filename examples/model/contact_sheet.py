"""Draws the README's picture: pictures of the shipped model under their answers.

    vision classify --json -m examples/model examples/model/pictures | python examples/model/contact_sheet.py docs/demo.jpg

Takes the first answers as they come, right ones and wrong ones.
"""

import json
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLUMNS, ROWS = 8, 3
SIDE, TEXT, GAP = 132, 36, 10
BACKGROUND, INK, GOOD, BAD = "#ffffff", "#1f2328", "#1a7f37", "#cf222e"


def truth(path: Path) -> str:
    return path.stem.split("_", 1)[1].replace("_", " ")


def tile(answer: dict) -> Image.Image:
    path = Path(answer["path"])
    best = answer["predictions"][0]
    picture = Image.open(path).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    square = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    result = Image.new("RGB", (SIDE, SIDE + TEXT), BACKGROUND)
    result.paste(square, (0, 0))
    draw = ImageDraw.Draw(result)
    is_right = best["label"] == truth(path)
    draw.text((0, SIDE + 3), best["label"], fill=INK, font=ImageFont.load_default(14))
    note = f"{best['score']:.0%}" + ("" if is_right else f", is {truth(path)}")
    draw.text((0, SIDE + 19), note, fill=GOOD if is_right else BAD, font=ImageFont.load_default(12))
    return result


def main() -> None:
    (output,) = sys.argv[1:]
    answers = [json.loads(line) for line in sys.stdin][: COLUMNS * ROWS]
    width = COLUMNS * (SIDE + GAP) + GAP
    height = ROWS * (SIDE + TEXT + GAP) + GAP
    sheet = Image.new("RGB", (width, height), BACKGROUND)
    for number, answer in enumerate(answers):
        row, column = divmod(number, COLUMNS)
        sheet.paste(tile(answer), (GAP + column * (SIDE + GAP), GAP + row * (SIDE + TEXT + GAP)))
    sheet.save(output, quality=88)


if __name__ == "__main__":
    main()
