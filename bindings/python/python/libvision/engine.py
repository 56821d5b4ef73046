"""The engine: a model on a device, behind a queue that batches."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar, Unpack, overload

from . import _libvision
from .image import are_several
from .metrics import Metrics
from .model import Model
from .outputs import EMBEDDING, embedding_of, outputs_of, stack, stack_outputs
from .pending import Deliveries, Pending
from .request import RequestOptions
from .result import Result
from .window import answer_all, run_now

if TYPE_CHECKING:
    import asyncio

    import numpy as np
    import numpy.typing as npt

    from .image import Image, Images

    Array = npt.NDArray[Any]
    Embedding = npt.NDArray[np.float32]

Answer = TypeVar("Answer")
Start: TypeAlias = Callable[[Any], _libvision.Request]

_DEFAULTS = _libvision.defaults()


class Engine:
    """Takes pictures or tensors from any number of threads, forms batches, answers each request once.

    `model` is a `Model` or the path of one. `device` is "auto", "cpu" or "cuda:N". A batch holds at
    most `max_batch_size` pictures, and its first one waits at most `max_queue_delay` seconds for
    others. `queue_capacity` requests may wait; one more is refused with QUEUE_FULL. `decode_threads`
    decode and preprocess, and one batch computes on `threads`; 0 takes one per available CPU. `precise`
    keeps to direct convolution: slower, smaller, nearer to exact. `tuning` is a file of `vision tune`. Pictures
    over `max_pixels`, `max_side`, `max_encoded_bytes` or `max_progressive_scans` are refused.

    `window` says when a batch waits for others: "latency" never, "throughput" always, "adaptive" as long as
    that is measured to pay. A batch is filled up to the next of `batch_buckets`. `tenant_weights` are the
    shares of tenants, 1 for those that are not named. `encoded_budget` bounds the bytes of files that wait,
    `decode_budget` what all decoders take. With `preserve_order` results come in order of acceptance. After
    `ageing` seconds a request rises to the next priority; after `stuck_after` a batch that does not end is
    given up; for `outage_patience` requests wait for a device that was lost, and for `close_timeout` closing
    waits for them. `trace` is a file to record in for `vision replay`.

    Close it, or use it in a `with` statement. It does not survive a fork: make one in each process.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        *,
        device: str = _DEFAULTS.device,
        max_batch_size: int = _DEFAULTS.max_batch_size,
        max_queue_delay: float = _DEFAULTS.max_queue_delay,
        queue_capacity: int = _DEFAULTS.queue_capacity,
        decode_threads: int = _DEFAULTS.decode_threads,
        threads: int = _DEFAULTS.threads,
        precise: bool = _DEFAULTS.precise,
        tuning: str | os.PathLike[str] | None = None,
        window: Literal["latency", "throughput", "adaptive"] = _DEFAULTS.window,  # type: ignore[assignment]
        batch_buckets: Sequence[int] = (),
        tenant_weights: Mapping[str, int] | None = None,
        preserve_order: bool = _DEFAULTS.preserve_order,
        encoded_budget: int = _DEFAULTS.encoded_budget,
        decode_budget: int = _DEFAULTS.decode_budget,
        ageing: float = _DEFAULTS.ageing,
        stuck_after: float = _DEFAULTS.stuck_after,
        outage_patience: float = _DEFAULTS.outage_patience,
        close_timeout: float = _DEFAULTS.close_timeout,
        trace: str | os.PathLike[str] | None = None,
        max_pixels: int = _DEFAULTS.max_pixels,
        max_side: int = _DEFAULTS.max_side,
        max_encoded_bytes: int = _DEFAULTS.max_encoded_bytes,
        max_progressive_scans: int = _DEFAULTS.max_progressive_scans,
    ) -> None:
        self._model = model if isinstance(model, Model) else Model.load(model)
        self._queue_capacity = queue_capacity
        options = {
            "device": device,
            "max_batch_size": max_batch_size,
            "max_queue_delay": max_queue_delay,
            "queue_capacity": queue_capacity,
            "decode_threads": decode_threads,
            "threads": threads,
            "precise": precise,
            "tuning": tuning,
            "window": window,
            "batch_buckets": list(batch_buckets),
            "tenant_weights": dict(tenant_weights or {}),
            "preserve_order": preserve_order,
            "encoded_budget": encoded_budget,
            "decode_budget": decode_budget,
            "ageing": ageing,
            "stuck_after": stuck_after,
            "outage_patience": outage_patience,
            "close_timeout": close_timeout,
            "trace": trace,
            "max_pixels": max_pixels,
            "max_side": max_side,
            "max_encoded_bytes": max_encoded_bytes,
            "max_progressive_scans": max_progressive_scans,
        }
        self._core = _libvision.Engine(self._model._core, options)
        self._deliveries = Deliveries()
        _open_engines.add(self)

    # A str is also a sequence of str; it is a path here.
    @overload
    def classify(  # type: ignore[overload-overlap]
        self,
        images: Image,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Result: ...
    @overload
    def classify(
        self,
        images: Images,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> list[Result]: ...
    @overload
    def classify(
        self,
        images: Images,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        *,
        return_errors: bool,
        **options: Unpack[RequestOptions],
    ) -> list[Result | Exception]: ...
    def classify(
        self,
        images: Image | Images,
        top_k: int = _DEFAULTS.top_k,
        min_score: float = _DEFAULTS.min_score,
        deadline: float | None = None,
        *,
        return_errors: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """Labels for one picture, or for each of a list.

        At most `top_k` labels, none with a score below `min_score`. `deadline` is the time in seconds
        within which an answer is of use. In a list, the first picture that fails raises its error;
        with `return_errors` the error stands in the place of the result. `options` are those of
        `RequestOptions`.
        """
        start = partial(
            self._core.start_classify, top_k=top_k, min_score=min_score, deadline=deadline, **options
        )
        return self._answer(images, start, Result.of, return_errors)

    def embed(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> Embedding:
        """The pooled feature before the classifier: shape (D,) for a picture, (N, D) for a list."""
        start = partial(self._core.start_embed, deadline=deadline, **options)
        return self._embedding(self._answer(images, start, embedding_of))

    def outputs(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> dict[str, Array]:
        """Every output of the network as it is, logits first, without a batch axis for one picture."""
        start = partial(self._core.start_outputs, deadline=deadline, **options)
        return self._outputs(self._answer(images, start, outputs_of))

    def run(
        self,
        inputs: Array | Mapping[str, Array],
        deadline: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> dict[str, Array]:
        """Every output of the network, for tensors that are preprocessed already.

        The first axis of each input is the number of images, at most `max_batch_size`. A model with one
        input takes it without its name.
        """
        return self._core.start_run(self._named(inputs), deadline=deadline, **options).wait().outputs()

    @overload
    async def classify_async(  # type: ignore[overload-overlap]
        self,
        images: Image,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Result: ...
    @overload
    async def classify_async(
        self,
        images: Images,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> list[Result]: ...
    @overload
    async def classify_async(
        self,
        images: Images,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        *,
        return_errors: bool,
        **options: Unpack[RequestOptions],
    ) -> list[Result | Exception]: ...
    async def classify_async(
        self,
        images: Image | Images,
        top_k: int = _DEFAULTS.top_k,
        min_score: float = _DEFAULTS.min_score,
        deadline: float | None = None,
        *,
        return_errors: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """`classify` for an event loop. Cancelling the task cancels its requests."""
        start = partial(
            self._core.start_classify, top_k=top_k, min_score=min_score, deadline=deadline, **options
        )
        return await self._answer_async(images, start, Result.of, return_errors)

    async def embed_async(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> Embedding:
        """`embed` for an event loop. Cancelling the task cancels its requests."""
        start = partial(self._core.start_embed, deadline=deadline, **options)
        return self._embedding(await self._answer_async(images, start, embedding_of))

    async def outputs_async(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> dict[str, Array]:
        """`outputs` for an event loop. Cancelling the task cancels its requests."""
        start = partial(self._core.start_outputs, deadline=deadline, **options)
        return self._outputs(await self._answer_async(images, start, outputs_of))

    async def run_async(
        self,
        inputs: Array | Mapping[str, Array],
        deadline: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> dict[str, Array]:
        """`run` for an event loop. Cancelling the task cancels the request."""
        request = self._core.start_run(self._named(inputs), deadline=deadline, **options)
        return await self._settled(request, _libvision.Response.outputs)

    @overload
    def submit(
        self,
        image: Image,
        task: Literal["classify"] = ...,
        *,
        top_k: int = ...,
        min_score: float = ...,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Pending[Result]: ...
    @overload
    def submit(
        self,
        image: Image,
        task: Literal["embed"],
        *,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Pending[Embedding]: ...
    @overload
    def submit(
        self,
        image: Image,
        task: Literal["outputs"],
        *,
        deadline: float | None = ...,
        **options: Unpack[RequestOptions],
    ) -> Pending[dict[str, Array]]: ...
    def submit(
        self,
        image: Image,
        task: Literal["classify", "embed", "outputs"] = "classify",
        *,
        top_k: int = _DEFAULTS.top_k,
        min_score: float = _DEFAULTS.min_score,
        deadline: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> Pending[Any]:
        """Accepts one picture and returns at once, or raises QUEUE_FULL. `task` names the method whose
        answer is wanted."""
        if task == "classify":
            request = self._core.start_classify(
                image, top_k=top_k, min_score=min_score, deadline=deadline, **options
            )
            return self._pending(request, Result.of)
        if task == "embed":
            request = self._core.start_embed(image, deadline=deadline, **options)
            return self._pending(request, embedding_of)
        if task == "outputs":
            request = self._core.start_outputs(image, deadline=deadline, **options)
            return self._pending(request, outputs_of)
        raise ValueError(f'task: expected "classify", "embed" or "outputs", found {task!r}')

    @property
    def model(self) -> Model:
        """The model."""
        return self._model

    @property
    def labels(self) -> list[str]:
        """The labels of the model, one per class; empty if its files name none."""
        return self._model.labels

    @property
    def device(self) -> str:
        """The device taken: "cpu" or "cuda:N"."""
        return self._core.device

    @property
    def max_batch_size(self) -> int:
        """Largest batch, after the model's own limit."""
        return self._core.max_batch_size

    @property
    def is_ready(self) -> bool:
        """Whether requests are accepted and every worker can run them."""
        return self._core.is_ready

    def metrics(self) -> Metrics:
        """Everything counted and measured so far."""
        return Metrics.of(self._core.metrics())

    def prometheus(self) -> str:
        """The same as text that Prometheus reads."""
        return self._core.prometheus()

    def describe(self) -> str:
        """Device and why, options in force, plan, fusions, memory; for people."""
        return self._core.describe()

    def close(self) -> None:
        """Accepts nothing more, waits for what was accepted, and frees the device. Idempotent."""
        self._core.close()
        self._deliveries.flush()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<libvision.Engine {self._model.name!r} on {self.device}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a libvision.Engine cannot be pickled; send the path of its model and create an engine in "
            "the worker"
        )

    def _answer(
        self,
        images: Image | Images,
        start: Start,
        convert: Callable[[_libvision.Response], Answer],
        return_errors: bool = False,
    ) -> Any:
        async def wait(request: _libvision.Request) -> Answer:
            return convert(request.wait())

        if are_several(images):
            return run_now(answer_all(images, start, wait, self._queue_capacity, return_errors))
        return convert(start(images).wait())

    async def _answer_async(
        self,
        images: Image | Images,
        start: Start,
        convert: Callable[[_libvision.Response], Answer],
        return_errors: bool = False,
    ) -> Any:
        def wait(request: _libvision.Request) -> asyncio.Future[Answer]:
            return self._settled(request, convert)

        if are_several(images):
            return await answer_all(images, start, wait, self._queue_capacity, return_errors)
        return await wait(start(images))

    def _settled(
        self, request: _libvision.Request, convert: Callable[[_libvision.Response], Answer]
    ) -> asyncio.Future[Answer]:
        # Only who awaits pays for loading it.
        import asyncio

        return asyncio.wrap_future(self._pending(request, convert))

    def _pending(
        self, request: _libvision.Request, convert: Callable[[_libvision.Response], Answer]
    ) -> Pending[Answer]:
        return Pending(request, self._deliveries.sender, convert)

    def _embedding(self, answer: Any) -> Embedding:
        return stack(self._model, EMBEDDING, answer) if isinstance(answer, list) else answer

    def _outputs(self, answer: Any) -> dict[str, Array]:
        return stack_outputs(self._model, answer) if isinstance(answer, list) else answer

    def _named(self, inputs: Array | Mapping[str, Array]) -> dict[str, Array]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        names = list(self._model.inputs)
        if len(names) != 1:
            raise ValueError(f"inputs: the model has {len(names)}; give a dictionary with {names}")
        return {names[0]: inputs}


_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_open_engines):
        engine.close()
