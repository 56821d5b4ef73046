"""Many pictures through one engine, never more at a time than its queue holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from .errors import VisionError

Answer = TypeVar("Answer")


class Cancellable(Protocol):
    """What `answer_all` starts."""

    def cancel(self) -> object:
        """Gives the answer up."""


Started = TypeVar("Started", bound=Cancellable)


async def answer_all(
    images: Sequence[Any],
    start: Callable[[Any], Started],
    wait: Callable[[Started], Awaitable[Answer]],
    limit: int,
    keep_errors: bool,
) -> list[Answer | Exception]:
    """Starts a request for each image, at most `limit` at a time, and returns the answers in order.

    While others fill the queue, it waits for requests of its own, if any are under way. The first
    error ends everything, or with `keep_errors` stands in the place of its answer.
    """
    answers: list[Answer | Exception] = []
    under_way: deque[Started | Exception] = deque()

    async def answer_oldest() -> None:
        oldest = under_way.popleft()
        try:
            if isinstance(oldest, Exception):
                raise oldest
            answers.append(await wait(oldest))
        except Exception as error:
            if not keep_errors:
                error.add_note(f"picture at position {len(answers)} of the list")
                raise
            answers.append(error)

    try:
        for image in images:
            if len(under_way) >= limit:
                await answer_oldest()
            while _is_queue_full(started := _try(start, image)) and under_way:
                await answer_oldest()
            under_way.append(started)
        while under_way:
            await answer_oldest()
    finally:
        for request in under_way:
            if not isinstance(request, Exception):
                request.cancel()
    return answers


def run_now(coroutine: Coroutine[Any, Any, Answer]) -> Answer:
    """Runs a coroutine whose waits block instead of suspending it, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as finished:
        answer: Answer = finished.value
        return answer
    raise RuntimeError("the coroutine waited for an event loop")


def _try(start: Callable[[Any], Started], image: object) -> Started | Exception:
    try:
        return start(image)
    except Exception as error:
        return error


def _is_queue_full(started: object) -> bool:
    return isinstance(started, VisionError) and started.code == "QUEUE_FULL"
