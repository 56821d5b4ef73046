"""The types of pictures that an engine takes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from typing_extensions import Buffer, TypeIs


class PillowImage(Protocol):
    """What is used of a Pillow image; it may be in any mode."""

    @property
    def mode(self) -> str:
        """Pillow's name of the pixel format."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""

    def convert(self, mode: str, /) -> Any:
        """The same picture in another mode."""

    def tobytes(self) -> bytes:
        """The pixels."""


Image: TypeAlias = "str | os.PathLike[str] | Buffer | npt.NDArray[np.uint8] | PillowImage"
"""A path, the bytes of a JPEG, PNG, WebP, GIF or BMP file (or a flat uint8 array of them), a uint8 array
of shape (height, width, 3) or (height, width, 4) with red first, or a Pillow image."""

Images: TypeAlias = "Sequence[Image]"
"""Several pictures. They are sent together, so that they fill batches."""


def are_several(images: object) -> TypeIs[Images]:
    """Whether `images` is a sequence of pictures and not one of the sequences that are a picture."""
    return isinstance(images, Sequence) and not isinstance(images, (str, bytes, bytearray, memoryview))
