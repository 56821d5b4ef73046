"""What every request takes beside its picture, as keyword arguments."""

from __future__ import annotations

from typing import Literal, TypedDict


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of `classify`, `embed`, `outputs`, `run`, their `_async` forms and `submit`."""

    priority: Literal["high", "normal", "low"]
    """Urgent requests go first; who has waited for long rises."""
    tenant: str | None
    """Whose request it is. Tenants share an engine by their weights, whoever sends how much."""
    traceparent: str | None
    """The header of W3C Trace Context, carried to the result. A malformed one is ignored."""
    model: str | None
    """Which of the engine's models it is for; the one that the engine was made with if nothing is said."""
