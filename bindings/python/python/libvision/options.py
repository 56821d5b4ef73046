"""The options of an engine, for `Engine(...)` and for the models that it loads later."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from . import _libvision

Window: TypeAlias = Literal["latency", "throughput", "adaptive"]
Precision: TypeAlias = Literal["auto", "f32", "f16", "bf16"]

DEFAULTS = _libvision.defaults()


class EngineOptions(TypedDict, total=False):
    """Keyword arguments of `Engine.load`; `Engine` explains them. What is not given has its default."""

    device: str
    max_batch_size: int
    max_queue_delay: float
    queue_capacity: int
    decode_threads: int
    threads: int
    precise: bool
    tuning: str | os.PathLike[str] | None
    window: Window
    batch_buckets: Sequence[int]
    tenant_weights: Mapping[str, int] | None
    preserve_order: bool
    encoded_budget: int
    decode_budget: int
    ageing: float
    stuck_after: float
    outage_patience: float
    close_timeout: float
    trace: str | os.PathLike[str] | None
    precision: Precision
    prove: bool
    self_test_every: float
    memory_limit: int | None
    device_memory_limit: int | None
    instances: int
    cache_entries: int
    cache_bytes: int
    max_pixels: int
    max_side: int
    max_encoded_bytes: int
    max_progressive_scans: int


def filled(options: EngineOptions) -> dict[str, Any]:
    """All options, as the core takes them. TypeError for a name that is none."""
    names = EngineOptions.__annotations__
    for name in options:
        if name not in names:
            raise TypeError(f"unexpected keyword argument {name!r}; an engine takes {', '.join(names)}")
    complete: dict[str, Any] = {name: getattr(DEFAULTS, name, None) for name in names}
    complete.update(options)
    complete["batch_buckets"] = list(complete["batch_buckets"] or ())
    complete["tenant_weights"] = dict(complete["tenant_weights"] or {})
    return complete
