"""Output tensors of pictures as numpy arrays, one picture or many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from . import _libvision

if TYPE_CHECKING:
    import numpy.typing as npt

    from .model import Model

    Array = npt.NDArray[Any]

EMBEDDING = "embedding"


def outputs_of(response: _libvision.Response) -> dict[str, Array]:
    """Every output of one picture, without the batch axis."""
    return {name: array[0] for name, array in response.outputs().items()}


def embedding_of(response: _libvision.Response) -> Array:
    """The embedding of one picture."""
    return outputs_of(response)[EMBEDDING]


def stack_outputs(model: Model, pictures: Sequence[dict[str, Array]]) -> dict[str, Array]:
    """The outputs of many pictures with the batch axis in front."""
    return {name: stack(model, name, [picture[name] for picture in pictures]) for name in model.outputs}


def stack(model: Model, name: str, rows: Sequence[Array]) -> Array:
    """The output `name` of many pictures, or of none, with the batch axis in front."""
    import numpy

    if rows:
        return numpy.stack(rows)
    _, *axes = model.outputs.get(name, (None, 0))
    return numpy.empty((0, *(size or 0 for size in axes)), numpy.float32)
