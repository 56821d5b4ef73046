"""What an engine counts and measures, at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many values fell into each bucket."""

    ends: tuple[float, ...]
    """Upper ends of the buckets, ascending."""
    buckets: tuple[int, ...]
    """Values above the end before and not above this one; what is above the last is in `count` alone."""
    sum: float
    """Of all values."""
    count: int
    """Of all values."""

    @property
    def mean(self) -> float:
        """The mean of all values; 0 if there are none."""
        return self.sum / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheCounters:
    """What the cache of results did; all 0 without one."""

    hits: int
    """Requests answered from it."""
    misses: int
    """Requests that were not."""
    joined: int
    """Of those, that waited for the result of another request for the same picture."""
    evicted: int
    """Results dropped for newer ones."""
    entries: int
    """Results in it."""
    bytes: int
    """Bytes of these."""


@dataclass(frozen=True, slots=True)
class MemoryItem:
    """Memory of one kind."""

    what: str
    """What it is for."""
    place: str
    """Where it lies: "host", "pinned", or the name of a device."""
    count: int
    """How many there are."""
    each: int
    """Bytes of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPlan:
    """The most memory that a model in an engine comes to, budgets included."""

    items: tuple[MemoryItem, ...]
    """By what it is for and where it lies."""
    host: int
    """Bytes of this machine's memory that are not pinned."""
    pinned: int
    """Bytes of page-locked memory."""
    device: int
    """Bytes in the memory of all devices."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether requests should be sent to an engine. True or false itself."""

    is_ready: bool
    reason: str | None
    """Why not; None if they should."""

    def __bool__(self) -> bool:
        return self.is_ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """A model of an engine at one moment. arrived = delivered + the sum of refused + in_flight, always."""

    model: str
    """Its name in the engine."""
    version: int
    """Counts the models that had this name, from 1; a new one starts counting anew."""
    arrived: int
    """Requests that came."""
    accepted: int
    """Of those, accepted."""
    delivered: int
    """Accepted and answered with a result or an error of the request's own, such as a corrupt picture."""
    refused: dict[str, int]
    """Refused, or answered without a result, by reason: "queue_full", "cancelled" and so on."""
    batches: int
    """Batches run."""
    images: int
    """Pictures in them."""
    padding_images: int
    """Pictures that filled batches up to a bucket."""
    batch_splits: int
    """Batches split for want of memory."""
    workers_stuck: int
    """Workers given up because a batch did not end."""
    workers_lost: int
    """Workers lost."""
    workers_rebuilt: int
    """Workers made anew."""
    self_tests: int
    """Self-tests begun."""
    self_tests_failed: int
    """Self-tests that gave other bits than they should."""
    cold_paths: int
    """How often memory was taken, or something compiled or captured, for a run: 0, unless a worker was replaced."""
    queued: int
    """Accepted and not yet given to a worker."""
    waiting: int
    """Of those, without a decoder."""
    in_flight: int
    """Accepted and not yet answered."""
    encoded_bytes: int
    """Bytes of files accepted and not yet decoded."""
    decode_bytes: int
    """Bytes that decoders take."""
    memory_bytes: int
    """Bytes taken at the start: weights, arenas, batches, outputs."""
    is_ready: bool
    """Whether the model is proven and serves; see `Engine.readiness`."""
    cache: CacheCounters
    """What the cache of results did."""
    memory: MemoryPlan
    """The most that the model comes to."""
    queue: Histogram
    """Seconds, of requests with a result: waiting for a decode thread."""
    decode: Histogram
    """Bytes to pixels."""
    preprocess: Histogram
    """Pixels to the input of the network."""
    batch_wait: Histogram
    """Waiting for the batch to close and for a worker."""
    compute: Histogram
    """The network."""
    postprocess: Histogram
    """Scores to labels."""
    total: Histogram
    """From acceptance to the answer."""
    batch_size: Histogram
    """Pictures of the batch that each request was in."""

    @staticmethod
    def of(snapshot: dict[str, Any]) -> Metrics:
        """The metrics in a snapshot of the core."""
        fields = dict(snapshot)
        memory = dict(fields.pop("memory"))
        memory["items"] = tuple(MemoryItem(*item) for item in memory["items"])
        fields |= {"cache": CacheCounters(**fields.pop("cache")), "memory": MemoryPlan(**memory)}
        for name, given in fields.pop("histograms").items():
            fields[name] = Histogram(
                tuple(given["ends"]), tuple(given["buckets"]), given["sum"], given["count"]
            )
        return Metrics(**fields)
