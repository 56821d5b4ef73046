"""How the pixels of a picture become a model's input, as data."""

from __future__ import annotations

from dataclasses import dataclass

from . import _libvision


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Resize, crop, scale, normalise. A model brings its own; `dataclasses.replace` changes a part.

    Sizes are pixels, a pair is (height, width).
    """

    resize: int | tuple[int, int] | None
    """One number: the shorter side becomes it. A pair: exactly this size. None: no resize."""
    letterbox: tuple[int, int, int] | None
    """With a pair in `resize`: keep the aspect ratio and fill the rest with this colour."""
    filter: str
    """"nearest", "box", "bilinear", "hamming", "bicubic" or "lanczos", each as Pillow has it."""
    crop: int | tuple[int, int] | None
    """What is cut out of the middle after the resize."""
    crop_floor: bool
    """Whether an odd rest is halved downwards, as Hugging Face does; otherwise as torchvision does."""
    scale: float
    """Factor from a byte to the number that mean and std refer to."""
    mean: tuple[float, float, float]
    """Subtracted, per channel."""
    std: tuple[float, float, float]
    """Divisor, per channel."""
    layout: str
    """Order of the axes: "nchw" or "nhwc"."""
    apply_orientation: bool
    """Whether the EXIF orientation of a file is applied first."""

    @staticmethod
    def imagenet(resize: int = 256, crop: int = 224) -> Preprocess:
        """What torchvision's ImageNet models are evaluated with."""
        return Preprocess(**_libvision.imagenet(resize, crop))
