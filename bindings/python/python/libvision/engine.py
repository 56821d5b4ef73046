"""The engine: a model on a device, behind a queue that batches."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TypeAlias, TypeVar, Unpack, cast, overload

from . import _libvision
from .image import are_several
from .metrics import Metrics, Readiness
from .model import Model
from .outputs import EMBEDDING, embedding_of, outputs_of, stack, stack_outputs
from .options import DEFAULTS, EngineOptions, Precision, Window, filled
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



DEFAULT_MODEL = "default"


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

    With `prove` every worker first runs pictures whose answers are known, and again every `self_test_every`
    seconds. `precision` is the element type that the network is computed in. Models beyond `memory_limit` or
    `device_memory_limit` bytes in the worst case are refused before any is taken. `instances` batches run at
    one time on each device. `cache_entries` results, of `cache_bytes` at most, are kept for pictures that come
    again, byte for byte.

    Close it, or use it in a `with` statement. It does not survive a fork: make one in each process.
    """

    def __init__(
        self,
        model: Model | str | os.PathLike[str],
        *,
        device: str = DEFAULTS.device,
        max_batch_size: int = DEFAULTS.max_batch_size,
        max_queue_delay: float = DEFAULTS.max_queue_delay,
        queue_capacity: int = DEFAULTS.queue_capacity,
        decode_threads: int = DEFAULTS.decode_threads,
        threads: int = DEFAULTS.threads,
        precise: bool = DEFAULTS.precise,
        tuning: str | os.PathLike[str] | None = None,
        window: Window = cast(Window, DEFAULTS.window),
        batch_buckets: Sequence[int] = (),
        tenant_weights: Mapping[str, int] | None = None,
        preserve_order: bool = DEFAULTS.preserve_order,
        encoded_budget: int = DEFAULTS.encoded_budget,
        decode_budget: int = DEFAULTS.decode_budget,
        ageing: float = DEFAULTS.ageing,
        stuck_after: float = DEFAULTS.stuck_after,
        outage_patience: float = DEFAULTS.outage_patience,
        close_timeout: float = DEFAULTS.close_timeout,
        trace: str | os.PathLike[str] | None = None,
        precision: Precision = cast(Precision, DEFAULTS.precision),
        prove: bool = DEFAULTS.prove,
        self_test_every: float = DEFAULTS.self_test_every,
        memory_limit: int | None = None,
        device_memory_limit: int | None = None,
        instances: int = DEFAULTS.instances,
        cache_entries: int = DEFAULTS.cache_entries,
        cache_bytes: int = DEFAULTS.cache_bytes,
        max_pixels: int = DEFAULTS.max_pixels,
        max_side: int = DEFAULTS.max_side,
        max_encoded_bytes: int = DEFAULTS.max_encoded_bytes,
        max_progressive_scans: int = DEFAULTS.max_progressive_scans,
    ) -> None:
        options: EngineOptions = {
            "device": device,
            "max_batch_size": max_batch_size,
            "max_queue_delay": max_queue_delay,
            "queue_capacity": queue_capacity,
            "decode_threads": decode_threads,
            "threads": threads,
            "precise": precise,
            "tuning": tuning,
            "window": window,
            "batch_buckets": batch_buckets,
            "tenant_weights": tenant_weights,
            "preserve_order": preserve_order,
            "encoded_budget": encoded_budget,
            "decode_budget": decode_budget,
            "ageing": ageing,
            "stuck_after": stuck_after,
            "outage_patience": outage_patience,
            "close_timeout": close_timeout,
            "trace": trace,
            "precision": precision,
            "prove": prove,
            "self_test_every": self_test_every,
            "memory_limit": memory_limit,
            "device_memory_limit": device_memory_limit,
            "instances": instances,
            "cache_entries": cache_entries,
            "cache_bytes": cache_bytes,
            "max_pixels": max_pixels,
            "max_side": max_side,
            "max_encoded_bytes": max_encoded_bytes,
            "max_progressive_scans": max_progressive_scans,
        }
        loaded = model if isinstance(model, Model) else Model.load(model)
        self._core = _libvision.Engine(loaded._core, filled(options))
        self._models = {DEFAULT_MODEL: loaded}
        self._queue_capacities = {DEFAULT_MODEL: queue_capacity}
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
        top_k: int = DEFAULTS.top_k,
        min_score: float = DEFAULTS.min_score,
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
        return self._answer(images, start, Result.of, options, return_errors)

    def embed(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> Embedding:
        """The pooled feature before the classifier: shape (D,) for a picture, (N, D) for a list."""
        start = partial(self._core.start_embed, deadline=deadline, **options)
        return self._embedding(self._answer(images, start, embedding_of, options), options)

    def outputs(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> dict[str, Array]:
        """Every output of the network as it is, logits first, without a batch axis for one picture."""
        start = partial(self._core.start_outputs, deadline=deadline, **options)
        return self._outputs(self._answer(images, start, outputs_of, options), options)

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
        return self._core.start_run(self._named(inputs, options), deadline=deadline, **options).wait().outputs()

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
        top_k: int = DEFAULTS.top_k,
        min_score: float = DEFAULTS.min_score,
        deadline: float | None = None,
        *,
        return_errors: bool = False,
        **options: Unpack[RequestOptions],
    ) -> Any:
        """`classify` for an event loop. Cancelling the task cancels its requests."""
        start = partial(
            self._core.start_classify, top_k=top_k, min_score=min_score, deadline=deadline, **options
        )
        return await self._answer_async(images, start, Result.of, options, return_errors)

    async def embed_async(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> Embedding:
        """`embed` for an event loop. Cancelling the task cancels its requests."""
        start = partial(self._core.start_embed, deadline=deadline, **options)
        return self._embedding(await self._answer_async(images, start, embedding_of, options), options)

    async def outputs_async(
        self, images: Image | Images, deadline: float | None = None, **options: Unpack[RequestOptions]
    ) -> dict[str, Array]:
        """`outputs` for an event loop. Cancelling the task cancels its requests."""
        start = partial(self._core.start_outputs, deadline=deadline, **options)
        return self._outputs(await self._answer_async(images, start, outputs_of, options), options)

    async def run_async(
        self,
        inputs: Array | Mapping[str, Array],
        deadline: float | None = None,
        **options: Unpack[RequestOptions],
    ) -> dict[str, Array]:
        """`run` for an event loop. Cancelling the task cancels the request."""
        request = self._core.start_run(self._named(inputs, options), deadline=deadline, **options)
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
        top_k: int = DEFAULTS.top_k,
        min_score: float = DEFAULTS.min_score,
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
        """The model that requests are for if they name none."""
        return self._models[DEFAULT_MODEL]

    @property
    def models(self) -> dict[str, Model]:
        """All models by their names, "default" first."""
        return dict(self._models)

    @property
    def labels(self) -> list[str]:
        """The labels of the model, one per class; empty if its files name none."""
        return self.model.labels

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
        """Whether requests should be sent here; see `readiness`."""
        return self._core.unready_reason() is None

    def readiness(self) -> Readiness:
        """Whether every worker of all models has run pictures whose answers are known, with the same bits,
        and has done nothing wrong since; and if not, why."""
        reason = self._core.unready_reason()
        return Readiness(reason is None, reason)

    def load(
        self, name: str, model: Model | str | os.PathLike[str], **options: Unpack[EngineOptions]
    ) -> None:
        """Loads another model under a name of its own and proves it, while requests go on.

        Requests are for it with `model=name`. The options are those of `Engine`; memory limits and tenants
        are the engine's.
        """
        complete = filled(options)
        loaded = model if isinstance(model, Model) else Model.load(model)
        self._core.load(name, loaded._core, complete)
        self._models[name] = loaded
        self._queue_capacities[name] = complete["queue_capacity"]

    def swap(self, name: str, model: Model | str | os.PathLike[str]) -> None:
        """Prepares and proves a new version of a model, then hands all later requests to it. Returns when the
        old version has answered its own. If the new one fails, the old one goes on."""
        loaded = model if isinstance(model, Model) else Model.load(model)
        self._core.swap(name, loaded._core)
        self._models[name] = loaded

    def unload(self, name: str) -> None:
        """Answers what a model has accepted, and gives its memory back. "default" stays."""
        self._core.unload(name)
        self._models.pop(name, None)

    def metrics(self, model: str = DEFAULT_MODEL) -> Metrics:
        """Everything counted and measured so far of a model."""
        return Metrics.of(self._core.metrics(model))

    def prometheus(self) -> str:
        """The same of all models, with the memory they take, as text that Prometheus reads."""
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
        return f"<libvision.Engine {self.model.name!r} on {self.device}>"

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
        options: RequestOptions,
        return_errors: bool = False,
    ) -> Any:
        async def wait(request: _libvision.Request) -> Answer:
            return convert(request.wait())

        if are_several(images):
            return run_now(answer_all(images, start, wait, self._queue_capacity(options), return_errors))
        return convert(start(images).wait())

    async def _answer_async(
        self,
        images: Image | Images,
        start: Start,
        convert: Callable[[_libvision.Response], Answer],
        options: RequestOptions,
        return_errors: bool = False,
    ) -> Any:
        def wait(request: _libvision.Request) -> asyncio.Future[Answer]:
            return self._settled(request, convert)

        if are_several(images):
            return await answer_all(images, start, wait, self._queue_capacity(options), return_errors)
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

    def _model_of(self, options: RequestOptions) -> Model:
        # A name that is not loaded was refused when the request was made.
        return self._models.get(options.get("model") or DEFAULT_MODEL, self.model)

    def _queue_capacity(self, options: RequestOptions) -> int:
        return self._queue_capacities.get(options.get("model") or DEFAULT_MODEL, 1)

    def _embedding(self, answer: Any, options: RequestOptions) -> Embedding:
        return stack(self._model_of(options), EMBEDDING, answer) if isinstance(answer, list) else answer

    def _outputs(self, answer: Any, options: RequestOptions) -> dict[str, Array]:
        return stack_outputs(self._model_of(options), answer) if isinstance(answer, list) else answer

    def _named(self, inputs: Array | Mapping[str, Array], options: RequestOptions) -> dict[str, Array]:
        if isinstance(inputs, Mapping):
            return dict(inputs)
        names = list(self._model_of(options).inputs)
        if len(names) != 1:
            raise ValueError(f"inputs: the model has {len(names)}; give a dictionary with {names}")
        return {names[0]: inputs}


_open_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for engine in list(_open_engines):
        engine.close()
