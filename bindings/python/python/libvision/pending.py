"""Requests whose answers come later."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from . import _libvision
from .errors import EngineError

Answer = TypeVar("Answer")


class Pending(Future[Answer]):
    """A request that was accepted. A `concurrent.futures.Future` in all it does: `result(timeout)`,
    `done()`, `add_done_callback(f)`, `concurrent.futures.wait`, `asyncio.wrap_future`.

    Callbacks run in one thread of the engine's own; they should be short.
    """

    def __init__(
        self,
        request: _libvision.Request,
        sender: _libvision.CompletionSender,
        convert: Callable[[_libvision.Response], Answer],
    ) -> None:
        super().__init__()
        self._request = request
        self._convert = convert
        self._process = os.getpid()
        request.deliver(sender, self)

    def cancel(self) -> bool:
        """Gives the answer up. False if it is there already."""
        cancelled = super().cancel()
        if cancelled:
            self._request.cancel()
        return cancelled

    def result(self, timeout: float | None = None) -> Answer:
        """Waits for the answer, at most `timeout` seconds, then raises TimeoutError."""
        self._refuse_other_process()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Waits as `result` does, and returns what it would raise."""
        self._refuse_other_process()
        return super().exception(timeout)

    def settle(self, answer: _libvision.Response | Exception) -> None:
        """Takes the answer. Called once, by the thread that takes them from the engine."""
        if not self.set_running_or_notify_cancel():
            return
        if isinstance(answer, Exception):
            self.set_exception(answer)
            return
        try:
            converted = self._convert(answer)
        except Exception as error:
            self.set_exception(error)
        else:
            self.set_result(converted)

    def _refuse_other_process(self) -> None:
        if not self.done() and self._process != os.getpid():
            raise EngineError(
                "this request was made before a fork and is answered in the parent process only",
                "ENGINE_CLOSED",
                503,
                "create an engine in each process",
            )


class Deliveries:
    """One thread that takes answers from an engine and settles what waits for them.

    It ends by itself once neither this object nor a request is left that could send it an answer.
    """

    def __init__(self) -> None:
        self.sender, receiver = _libvision.completions()
        self._thread = threading.Thread(
            target=_settle_all, args=(receiver,), name="libvision-deliveries", daemon=True
        )
        self._thread.start()

    def flush(self) -> None:
        """Waits until every answer that was there before is settled, its callbacks included."""
        if self._thread is threading.current_thread() or not self._thread.is_alive():
            return
        settled = threading.Event()
        self.sender.mark(settled)
        settled.wait()


def _settle_all(receiver: _libvision.CompletionReceiver) -> None:
    while (answers := receiver.take()) is not None:
        for receipt, answer in answers:
            if answer is None:
                receipt.set()
            else:
                receipt.settle(answer)
        # What is left in these names would stay alive until the next answer.
        del answers, receipt, answer
