"""The test set: 2,000 pictures on photographs that no training picture shows.

Each is drawn in a frame of its own size and compressed as JPEG there, so that the reader decodes,
resizes and crops it as it would a stranger's picture.
"""

import numpy as np

from backgrounds import TEST_PHOTOGRAPHS, load_photographs
from classes import CLASSES
from ranges import TEST
from render import Renderer, jpeg_round_trip

COUNT = 2000
SEED = 20_000
FRAMES = (
    (160, 160), (200, 150), (240, 320), (256, 256), (320, 240),
    (400, 300), (360, 480), (512, 384), (640, 480), (800, 600),
)
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


class TestSet:
    def __init__(self, seed=SEED, count=COUNT):
        self.renderer = Renderer(load_photographs(TEST_PHOTOGRAPHS))
        self.seed, self.count = seed, count

    def label(self, index):
        return index % len(CLASSES)

    def frame(self, index):
        """The picture before compression, and the generator that decides on the rest."""
        size = FRAMES[np.random.default_rng([self.seed, index, 1]).integers(len(FRAMES))]
        return self.renderer.picture([self.seed, index], self.label(index), size, TEST)

    def picture(self, index):
        image, rng = self.frame(index)
        quality = int(rng.integers(TEST.quality[0], TEST.quality[1] + 1))
        return jpeg_round_trip(image, quality, SUBSAMPLINGS[rng.integers(3)])
