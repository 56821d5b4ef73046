"""Reads the lines of `compare.py` and reduces each cell to medians and ratios."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Ratio:
    """A peer's time over libvision's, of the rounds in which both ran; above 1 libvision is faster."""

    median: float
    low: float  # quartiles
    high: float


@dataclass(frozen=True)
class Cell:
    network: str
    isa: str
    batch: int
    threads: int
    rounds: int
    milliseconds: dict[str, float]  # median time of a run, by contestant
    ratios: dict[str, Ratio]  # by peer

    @property
    def best(self) -> str:
        """The peer that comes closest to libvision, or goes furthest beyond."""
        return min(self.ratios, key=lambda name: self.ratios[name].median)


def _ratio(rounds: list[dict], peer: str) -> Ratio:
    paired = [times[peer] / times["libvision"] for times in rounds if peer in times]
    low, median, high = statistics.quantiles(paired, n=4, method="inclusive") if len(paired) > 1 else paired * 3
    return Ratio(median, low, high)


def read(path: Path) -> tuple[list[Cell], list[dict]]:
    """The cells in order of first appearance, and the raw lines."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    pooled = {}
    for line in lines:
        key = tuple(line[name] for name in ("network", "isa", "batch", "threads"))
        pooled.setdefault(key, []).extend(line["rounds_ms"])
    cells = []
    for key, rounds in pooled.items():
        names = list(dict.fromkeys(name for times in rounds for name in times))
        medians = {name: statistics.median(times[name] for times in rounds if name in times) for name in names}
        ratios = {name: _ratio(rounds, name) for name in names if name != "libvision"}
        cells.append(Cell(*key, len(rounds), medians, ratios))
    return cells, lines
