"""From a picture to the network's input, exactly as torchvision with Pillow does it.

config.json says the same to any program that loads the model.
"""

import numpy as np
from PIL import Image

CROP = 112
SHORTER_SIDE = 128  # floor(112 / 0.875)
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def resize_and_crop(image):
    """Shorter side 128 with Pillow's bilinear filter, then the centre: bytes, row by row."""
    width, height = image.size
    if width <= height:
        size = (SHORTER_SIDE, int(SHORTER_SIDE * height / width))
    else:
        size = (int(SHORTER_SIDE * width / height), SHORTER_SIDE)
    image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (int(round((side - CROP) / 2.0)) for side in image.size)
    return np.asarray(image.crop((left, top, left + CROP, top + CROP)))


def normalise(pixels):
    """Bytes [..., row, column, channel] to floats [..., channel, row, column]."""
    values = (pixels.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    return np.ascontiguousarray(np.moveaxis(values, -1, -3))


def softmax(logits):
    powers = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
