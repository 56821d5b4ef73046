"""How far a rendered picture may stray from a plain emoji: one record of limits per data set.

The test limits are wider than both training limits, so that the test also asks for a little
extrapolation.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ranges:
    rotation: float  # degrees to either side
    shear: float  # to either side
    jitter: float  # of each corner, as a fraction of the object
    scale: tuple  # object / shorter side of the frame
    hue: float  # turns of the colour circle to either side, glyph only
    saturation: tuple  # glyph only
    brightness: tuple
    contrast: tuple
    blur: float  # largest Gaussian sigma in pixels of a 128-pixel frame
    noise: float  # largest sigma, of 255
    quality: tuple  # JPEG
    jpeg_share: float
    occluder_share: float
    occluder_area: float  # largest, as a fraction of the object's square
    procedural_share: float  # backgrounds drawn instead of cut from a photograph
    collage_share: float  # backgrounds with patches of others laid on them
    grey_share: float


TRAINING_PLAIN = Ranges(
    rotation=50, shear=0.25, jitter=0.09, scale=(0.35, 0.95), hue=0.05, saturation=(0.5, 1.5),
    brightness=(0.55, 1.45), contrast=(0.55, 1.4), blur=1.6, noise=18, quality=(30, 95),
    jpeg_share=0.8, occluder_share=0.5, occluder_area=0.38, procedural_share=0.4,
    collage_share=0.0, grey_share=0.025,
)

TRAINING_WIDE = Ranges(
    rotation=55, shear=0.27, jitter=0.10, scale=(0.34, 0.97), hue=0.055, saturation=(0.45, 1.55),
    brightness=(0.52, 1.48), contrast=(0.52, 1.45), blur=1.7, noise=20, quality=(28, 95),
    jpeg_share=0.8, occluder_share=0.5, occluder_area=0.38, procedural_share=0.3,
    collage_share=0.5, grey_share=0.025,
)

TEST = Ranges(
    rotation=60, shear=0.30, jitter=0.11, scale=(0.32, 1.0), hue=0.06, saturation=(0.4, 1.6),
    brightness=(0.5, 1.5), contrast=(0.5, 1.5), blur=1.8, noise=22, quality=(30, 95),
    jpeg_share=1.0, occluder_share=0.5, occluder_area=0.40, procedural_share=0.0,
    collage_share=0.0, grey_share=0.0,
)
