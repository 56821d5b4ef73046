"""Models, loaded from files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from . import _libvision
from .preprocess import Preprocess

if TYPE_CHECKING:
    from pathlib import Path

Shape = tuple[int | None, ...]
"""Sizes of the axes of a tensor; None stands for the number of images."""


class Model:
    """A loaded and checked model: network, preprocessing, labels. Any number of engines may share it."""

    _core: _libvision.Model

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        *,
        preprocess: Preprocess | None = None,
        labels: Sequence[str] | None = None,
        head: str | None = None,
        memory_map: bool | None = None,
        max_file_bytes: int | None = None,
    ) -> Model:
        """Loads an ONNX file, a safetensors file, or a model directory.

        `preprocess`, `labels` and `head` ("softmax", "sigmoid" or "identity") take the place of what
        the files say. `memory_map` leaves weights in the mapped file: it must not be cut or written
        while it is being loaded or an engine starts; replace it by renaming. `max_file_bytes` is the largest file that is read.
        """
        model = Model.__new__(Model)
        model._core = _libvision.Model(
            path,
            preprocess=preprocess,
            labels=labels,
            head=head,
            memory_map=memory_map,
            max_file_bytes=max_file_bytes,
        )
        return model

    def __init__(self) -> None:
        raise TypeError("models are made by libvision.Model.load(path)")

    @property
    def name(self) -> str:
        """Name from the configuration, or that of the file."""
        return self._core.name

    @property
    def path(self) -> Path:
        """Where it was loaded from."""
        from pathlib import Path  # Here, because few ask and every program would wait for it.

        return Path(self._core.path)

    @property
    def labels(self) -> list[str]:
        """One per class; empty if the files name none."""
        return self._core.labels

    @property
    def head(self) -> str:
        """What turns logits into scores: "softmax", "sigmoid" or "identity"."""
        return self._core.head

    @property
    def preprocess(self) -> Preprocess:
        """From the pixels of a picture to the input tensor."""
        return Preprocess(**self._core.preprocess)

    @property
    def inputs(self) -> dict[str, Shape]:
        """Shape of each input, by name."""
        return {name: tuple(shape) for name, shape in self._core.inputs}

    @property
    def outputs(self) -> dict[str, Shape]:
        """Shape of each output, by name; the logits come first."""
        return {name: tuple(shape) for name, shape in self._core.outputs}

    def describe(self) -> str:
        """Source, inputs, preprocessing, labels, size, and how the network was simplified, for people."""
        return self._core.describe()

    def __repr__(self) -> str:
        return f"<libvision.Model {self.name!r}: {len(self.labels)} labels>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a libvision.Model cannot be pickled; send its path and load it in the worker")
