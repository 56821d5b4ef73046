"""Draws one training or test picture: an emoji, bent and lit at random, on a background.

`Renderer.picture` depends on nothing but its arguments and the seed, so the same call gives the
same picture in whichever process it runs.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from backgrounds import background, lay_patch, photograph_crop, texture
from classes import CLASSES

FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
# The font holds bitmaps of this one size and loads at no other.
FONT_SIZE = 109
# Small objects are cut from a reduced glyph, or they alias.
PYRAMID = (128, 88, 60, 42)

_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_FROM_YIQ = np.linalg.inv(_TO_YIQ)


def load_glyphs(font_path=FONT):
    """For each class, the glyph on a transparent square, once per size of PYRAMID."""
    font = ImageFont.truetype(font_path, FONT_SIZE)
    glyphs = []
    for _, character in CLASSES:
        canvas = Image.new("RGBA", (160, 160))
        ImageDraw.Draw(canvas).text((8, 8), character, font=font, embedded_color=True)
        glyph = canvas.crop(canvas.getchannel("A").getbbox())
        side = max(glyph.size) + 4  # an empty rim keeps the warp from smearing the border
        square = Image.new("RGBA", (side, side))
        square.paste(glyph, ((side - glyph.width) // 2, (side - glyph.height) // 2))
        glyphs.append([square.resize((n, n), Image.Resampling.BICUBIC) for n in PYRAMID])
    return glyphs


def recolour(rng, glyph, ranges):
    """Turns the hue and scales the saturation of a glyph, leaving its alpha."""
    turn = rng.uniform(-ranges.hue, ranges.hue) * 2 * np.pi
    gain = rng.uniform(*ranges.saturation)
    c, s = gain * np.cos(turn), gain * np.sin(turn)
    matrix = _FROM_YIQ @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _TO_YIQ
    pixels = np.asarray(glyph)
    out = pixels.copy()
    colours = pixels[..., :3].astype(np.float32) @ matrix.T.astype(np.float32)
    out[..., :3] = np.clip(colours, 0, 255)
    return Image.fromarray(out)


def perspective(source_side, quad):
    """Pillow's eight coefficients that show a square of `source_side` in the corners `quad`."""
    rows, right = [], []
    corners = ((0, 0), (source_side, 0), (source_side, source_side), (0, source_side))
    for (u, v), (x, y) in zip(corners, quad):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return np.linalg.solve(np.array(rows), np.array(right, float))


def object_quad(rng, size, ranges):
    """Where the corners of the object come to lie, its centre and its mean side."""
    short = min(size)
    side = rng.uniform(*ranges.scale)
    # Objects stay inside the central square, but for a little, so that a centre crop shows them.
    slack = max(0.05, (1 - side) / 2)
    centre = np.array(size) / 2 + rng.uniform(-slack, slack, 2) * short
    side *= short
    aspect = np.exp(rng.uniform(np.log(0.82), np.log(1.18)) / 2)
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [side / 2 * aspect, side / 2 / aspect]
    if rng.random() < 0.5:
        corners[:, 0] = -corners[:, 0]
    corners += rng.uniform(-ranges.jitter, ranges.jitter, (4, 2)) * side
    corners[:, 0] += rng.uniform(-ranges.shear, ranges.shear) * corners[:, 1]
    angle = np.deg2rad(rng.uniform(-ranges.rotation, ranges.rotation))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return corners @ turn.T + centre, centre, side


def cast_shadow(rng, pixels, alpha, side):
    blurred = Image.fromarray(alpha).filter(ImageFilter.GaussianBlur(side * rng.uniform(0.02, 0.08)))
    shift = (rng.uniform(-0.12, 0.12, 2) * side).astype(int)
    moved = np.roll(np.asarray(blurred, np.float32), shift[::-1], (0, 1))[..., None] / 255
    return pixels * (1 - np.float32(rng.uniform(0.25, 0.6)) * moved)


def light(rng, pixels, ranges):
    """Brightness, contrast, white balance and a gradient of light over the picture."""
    pixels = pixels * np.float32(rng.uniform(*ranges.brightness))
    mean = pixels.mean(dtype=np.float64).astype(np.float32)
    pixels = mean + (pixels - mean) * np.float32(rng.uniform(*ranges.contrast))
    if rng.random() < 0.4:
        pixels = pixels * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    if rng.random() < 0.25:
        corners = Image.fromarray(rng.uniform(0.55, 1.35, (2, 2)).astype(np.float32))
        shade = corners.resize((pixels.shape[1], pixels.shape[0]), Image.Resampling.BILINEAR)
        pixels = pixels * np.asarray(shade)[..., None]
    return np.clip(pixels, 0, 255)


class Renderer:
    def __init__(self, photographs, font_path=FONT):
        self.photographs = photographs
        self.glyphs = load_glyphs(font_path)
        # Sums to a normal distribution once, instead of 49,152 fresh draws for each picture.
        self.noise = np.random.default_rng(7).standard_normal(1 << 21, np.float32)

    def picture(self, seed, class_index, size, ranges):
        """The drawn picture as an RGB image, before any JPEG, and the generator for what follows."""
        rng = np.random.default_rng(seed)
        short = min(size)
        quad, centre, side = object_quad(rng, size, ranges)
        pixels = background(rng, self.photographs, size, ranges)

        level = sum(1 for n in PYRAMID[1:] if n >= side)
        glyph = recolour(rng, self.glyphs[class_index][level], ranges)
        warped = np.asarray(glyph.transform(
            size, Image.Transform.PERSPECTIVE, perspective(glyph.width, quad), Image.Resampling.BICUBIC
        ))
        if rng.random() < 0.3:
            pixels = cast_shadow(rng, pixels, warped[..., 3], side)
        alpha = warped[..., 3:].astype(np.float32) / 255
        pixels = pixels + alpha * (warped[..., :3] - pixels)

        if rng.random() < ranges.occluder_share:
            pixels = self._occlude(rng, pixels, centre, side, ranges)
        pixels = light(rng, pixels, ranges)
        image = Image.fromarray(pixels.astype(np.uint8))
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0, ranges.blur) * short / 128))
        if rng.random() < 0.1:
            # BoxBlur takes a radius for each axis: a smear along one of them.
            radius = rng.uniform(0.5, 2.0) * short / 128
            image = image.filter(ImageFilter.BoxBlur((radius, 0) if rng.random() < 0.5 else (0, radius)))
        if rng.random() < ranges.grey_share:
            image = image.convert("L").convert("RGB")
        return self._grain(rng, image, ranges), rng

    def _occlude(self, rng, pixels, centre, side, ranges):
        size = (pixels.shape[1], pixels.shape[0])
        area = rng.uniform(0.04, ranges.occluder_area) * side * side
        aspect = np.exp(rng.uniform(-0.7, 0.7))
        extent = np.array([np.sqrt(area * aspect), np.sqrt(area / aspect)]) / 2
        place = centre + rng.uniform(-0.5, 0.5, 2) * side
        if rng.random() < 0.5:
            patch = texture(rng, size)
        else:
            patch = photograph_crop(rng, self.photographs, size)
        return lay_patch(rng, pixels, patch, place, extent)

    def _grain(self, rng, image, ranges):
        pixels = np.asarray(image, np.float32)
        sigma = np.float32(rng.uniform(0, ranges.noise))
        if pixels.size > self.noise.size // 2:
            noise = rng.standard_normal(pixels.size, np.float32)
        else:
            start = rng.integers(self.noise.size - pixels.size)
            noise = self.noise[start : start + pixels.size]
        pixels = pixels + sigma * noise.reshape(pixels.shape)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def jpeg_round_trip(image, quality, subsampling):
    """The picture as a reader of its JPEG sees it."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, subsampling=subsampling)
    return Image.open(file).convert("RGB")
