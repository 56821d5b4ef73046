"""What lies behind the emoji: crops of photographs, drawn textures, and collages of both.

The photographs come inside the scikit-image wheel and are all CC0 or in the public domain. Whole
photographs are either for training or for the test, never for both.
"""

import numpy as np
import skimage.data
from PIL import Image, ImageDraw

TRAINING_PHOTOGRAPHS = (
    "astronaut", "chelsea", "hubble_deep_field", "camera", "brick", "grass", "text", "cell",
)
TEST_PHOTOGRAPHS = ("coffee", "rocket", "retina", "gravel", "clock")


def load_photographs(names):
    return [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in names]


def photograph_crop(rng, photographs, size):
    """A random window of a random photograph, with the frame's proportions, scaled to `size`."""
    photograph = photographs[rng.integers(len(photographs))]
    width, height = size
    # The largest window of the frame's proportions, then a random part of it.
    unit = min(photograph.width / width, photograph.height / height) * rng.uniform(0.3, 1.0)
    w, h = width * unit, height * unit
    x = rng.uniform(0, photograph.width - w)
    y = rng.uniform(0, photograph.height - h)
    crop = photograph.resize(
        size, Image.Resampling.BILINEAR, (x, y, x + w, y + h), reducing_gap=2.0
    )
    if rng.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop, np.float32)
    if rng.random() < 0.4:
        pixels = pixels[..., rng.permutation(3)] * rng.uniform(0.6, 1.4, 3).astype(np.float32)
    return np.clip(pixels, 0, 255)


def _colour(rng):
    return rng.uniform(0, 255, 3).astype(np.float32)


def _grid(rng, size, cells):
    """Smooth random field in [0, 1] from `cells` x `cells` random values."""
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32) / 255


def _field(rng, size, kind):
    """A drawn pattern in [0, 1]; the caller blends two colours by it."""
    width, height = size
    x = np.arange(width, dtype=np.float32)[None, :] / min(size)
    y = np.arange(height, dtype=np.float32)[:, None] / min(size)
    angle, frequency = rng.uniform(0, np.pi), rng.uniform(2, 16)
    along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
    across = np.float32(np.cos(angle)) * y - np.float32(np.sin(angle)) * x
    if kind == "noise":
        octaves = [(cells, 2.0 ** -step) for step, cells in enumerate((4, 8, 16, 32))]
        total = sum(weight * _grid(rng, size, cells) for cells, weight in octaves)
        return total / sum(weight for _, weight in octaves)
    if kind == "stripes":
        return 0.5 + 0.5 * np.sin(2 * np.pi * frequency * along)
    if kind == "checker":
        return ((np.floor(along * frequency) + np.floor(across * frequency)) % 2).astype(np.float32)
    return (_grid(rng, size, 7) > rng.uniform(0.35, 0.65)).astype(np.float32)  # blobs


def texture(rng, size):
    """A drawn background: flat, four-corner gradient, noise, stripes, checker or blobs."""
    kind = ("flat", "gradient", "noise", "stripes", "checker", "blobs")[rng.integers(6)]
    if kind == "flat":
        return np.broadcast_to(_colour(rng), (size[1], size[0], 3)).copy()
    if kind == "gradient":
        corners = Image.fromarray(rng.integers(0, 256, (2, 2, 3), np.uint8))
        return np.asarray(corners.resize(size, Image.Resampling.BILINEAR), np.float32)
    blend = _field(rng, size, kind)[..., None]
    first, second = _colour(rng), _colour(rng)
    return first + blend * (second - first)


def shape_mask(rng, size, centre, extent):
    """A filled random shape as a mask in [0, 1]; `extent` is its half width and half height."""
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    (cx, cy), (rx, ry) = centre, extent
    kind = rng.integers(4)
    if kind == 0:
        draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), fill=255)
    elif kind == 1:
        line = max(1, int(min(rx, ry) * rng.uniform(0.2, 0.6)))
        draw.ellipse((cx - rx, cy - ry, cx + rx, cy + ry), outline=255, width=line)
    else:
        if kind == 2:
            angles, radii = np.pi / 4 * np.array([1, 3, 5, 7]), np.full(4, 1.25)
        else:
            count = rng.integers(3, 8)
            angles, radii = np.sort(rng.uniform(0, 2 * np.pi, count)), rng.uniform(0.6, 1.4, count)
        turn = rng.uniform(0, 2 * np.pi)
        px, py = rx * radii * np.cos(angles), ry * radii * np.sin(angles)
        xs, ys = cx + px * np.cos(turn) - py * np.sin(turn), cy + px * np.sin(turn) + py * np.cos(turn)
        draw.polygon(list(zip(xs.tolist(), ys.tolist())), fill=255)
    return np.asarray(mask, np.float32)[..., None] / 255


def lay_patch(rng, pixels, patch, centre, extent, opacity=1.0):
    size = (pixels.shape[1], pixels.shape[0])
    return pixels + shape_mask(rng, size, centre, extent) * np.float32(opacity) * (patch - pixels)


def background(rng, photographs, size, ranges):
    def any_surface():
        drawn = rng.random() < ranges.procedural_share
        return texture(rng, size) if drawn else photograph_crop(rng, photographs, size)

    pixels = any_surface()
    short = min(size)
    if rng.random() < ranges.collage_share:
        for _ in range(rng.integers(1, 4)):
            centre = (rng.uniform(0, size[0]), rng.uniform(0, size[1]))
            pixels = lay_patch(rng, pixels, any_surface(), centre, rng.uniform(0.12, 0.5, 2) * short)
    if rng.random() < 0.35:
        for _ in range(rng.integers(1, 5)):
            centre = (rng.uniform(0, size[0]), rng.uniform(0, size[1]))
            extent = rng.uniform(0.05, 0.3, 2) * short
            pixels = lay_patch(rng, pixels, _colour(rng), centre, extent, rng.uniform(0.5, 1))
    return pixels
