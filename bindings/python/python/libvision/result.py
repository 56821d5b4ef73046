"""Answers: labels with scores, and where the time went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from . import _libvision


class Prediction(NamedTuple):
    """One label with its score."""

    label: str
    score: float
    class_index: int


class Timing(NamedTuple):
    """Seconds that one request spent in each stage. The stages add up to `total`."""

    queue: float
    """Waiting for a decode thread."""
    decode: float
    """Bytes to pixels."""
    preprocess: float
    """Pixels to the input of the network."""
    batch_wait: float
    """Waiting for the batch to close and for a worker."""
    compute: float
    """The network."""
    postprocess: float
    """Scores to labels."""
    total: float
    """From acceptance to the answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """What is on a picture: predictions, best first. Iterates over them."""

    predictions: list[Prediction]
    batch_size: int
    """How many pictures were computed together."""
    timing: Timing
    traceparent: str | None = None
    """As the request had it; None if it had none or a malformed one."""

    @staticmethod
    def of(response: _libvision.Response) -> Result:
        """The result in an answer of the core."""
        predictions = [Prediction(*prediction) for prediction in response.predictions]
        return Result(predictions, response.batch_size, Timing(**response.timing), response.traceparent)

    @property
    def label(self) -> str:
        """The best label. IndexError if every score was below `min_score`."""
        return self.predictions[0].label

    @property
    def score(self) -> float:
        """The best score. IndexError if every score was below `min_score`."""
        return self.predictions[0].score

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __len__(self) -> int:
        return len(self.predictions)

    def __repr__(self) -> str:
        scores = ", ".join(f"{p.label} {p.score:.3f}" for p in self.predictions)
        return f"<libvision.Result {scores or 'no prediction'}>"

    def _repr_html_(self) -> str:
        import html  # Here, because only notebooks ask and every program would wait for it.

        rows = "".join(
            f"<tr><td style='text-align:left'>{html.escape(p.label)}</td><td>{p.score:.3f}</td>"
            f"<td style='text-align:left'><div style='background:#4a7bd0;height:0.8em;"
            f"width:{100 * min(max(p.score, 0.0), 1.0):.0f}px'></div></td></tr>"
            for p in self.predictions
        )
        return f"<table>{rows}</table>"
