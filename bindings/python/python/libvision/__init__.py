"""Says what is on a picture: image recognition with dynamic batching.

>>> import libvision
>>> with libvision.Engine("examples/model") as engine:
...     print(engine.classify("cat.jpg").label)
"""

from ._libvision import __version__
from .engine import Engine
from .errors import (
    ArgumentError,
    DeviceError,
    EngineError,
    ImageError,
    InternalError,
    ModelError,
    VisionError,
)
from .metrics import CacheCounters, Histogram, MemoryItem, MemoryPlan, Metrics, Readiness
from .model import Model
from .options import EngineOptions
from .pending import Pending
from .preprocess import Preprocess
from .request import RequestOptions
from .result import Prediction, Result, Timing

__all__ = [
    "ArgumentError",
    "DeviceError",
    "Engine",
    "EngineError",
    "EngineOptions",
    "Histogram",
    "ImageError",
    "InternalError",
    "Metrics",
    "Model",
    "ModelError",
    "Pending",
    "Prediction",
    "Preprocess",
    "Readiness",
    "RequestOptions",
    "Result",
    "Timing",
    "VisionError",
    "__version__",
]
