"""What the tests share: the shipped model, its pictures, an engine."""

import pathlib

import libvision
import numpy as np
import pytest
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def root():
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def model_path():
    """The model that ships with the project."""
    return ROOT / "examples/model"


@pytest.fixture(scope="session")
def model(model_path):
    return libvision.Model.load(model_path)


@pytest.fixture(scope="session")
def pictures(model_path):
    """Paths of pictures that decode, sorted."""
    return sorted((model_path / "pictures").iterdir())


@pytest.fixture(scope="session")
def png(pictures):
    """A picture whose pixels every decoder agrees on."""
    return next(path for path in pictures if path.suffix == ".png")


@pytest.fixture(scope="session")
def pixels(png):
    """The same picture as an array."""
    with Image.open(png) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="session")
def engine(model):
    with libvision.Engine(model) as engine:
        yield engine


@pytest.fixture
def held(model):
    """An engine that keeps a request waiting until its batch of 8 is full, or it closes."""
    with libvision.Engine(model, max_queue_delay=600, window="throughput") as engine:
        yield engine
