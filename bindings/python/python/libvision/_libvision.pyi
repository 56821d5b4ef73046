from _typeshed import Incomplete, SupportsGetItem
from os import PathLike
from pathlib import Path
from typing import Any, Final, SupportsFloat, SupportsIndex, final

__all__ = ["__version__", "CompletionReceiver", "CompletionSender", "Defaults", "Engine", "Model", "Request", "Response", "completions", "defaults", "error_kinds", "imagenet"]

__version__: Final[str]
"""
The version of the library.
"""

@final
class CompletionReceiver:
    """
    Where one Python thread takes answers.
    """
    def take(self, /) -> "list[tuple[Any, Response | Exception | None]] | None":
        """
        Blocks until there are answers, without the GIL, and takes them all: each receipt with a
        `Response`, an exception, or `None` for a mark. `None` once no more can come: every sender is
        gone, those of unanswered requests included.
        """

@final
class CompletionSender:
    """
    Where engine threads put answers.
    """
    def mark(self, /, receipt: Any) -> None:
        """
        Sends `receipt` without an answer. It arrives after everything that was sent before.
        """

@final
class Defaults:
    """
    What the options of an engine and of a request are if nobody says otherwise.
    """
    @property
    def ageing(self, /) -> float: ...
    @property
    def cache_bytes(self, /) -> int: ...
    @property
    def cache_entries(self, /) -> int: ...
    @property
    def close_timeout(self, /) -> float: ...
    @property
    def decode_budget(self, /) -> int: ...
    @property
    def decode_threads(self, /) -> int: ...
    @property
    def device(self, /) -> str: ...
    @property
    def encoded_budget(self, /) -> int: ...
    @property
    def instances(self, /) -> int: ...
    @property
    def max_batch_size(self, /) -> int: ...
    @property
    def max_encoded_bytes(self, /) -> int: ...
    @property
    def max_pixels(self, /) -> int: ...
    @property
    def max_progressive_scans(self, /) -> int: ...
    @property
    def max_queue_delay(self, /) -> float: ...
    @property
    def max_side(self, /) -> int: ...
    @property
    def min_score(self, /) -> float: ...
    @property
    def outage_patience(self, /) -> float: ...
    @property
    def precise(self, /) -> bool: ...
    @property
    def precision(self, /) -> str: ...
    @property
    def preserve_order(self, /) -> bool: ...
    @property
    def prove(self, /) -> bool: ...
    @property
    def queue_capacity(self, /) -> int: ...
    @property
    def self_test_every(self, /) -> float: ...
    @property
    def stuck_after(self, /) -> float: ...
    @property
    def threads(self, /) -> int: ...
    @property
    def top_k(self, /) -> int: ...
    @property
    def window(self, /) -> str: ...

@final
class Engine:
    """
    A model on a device, behind a queue that batches. None of the `start_` methods waits.
    """
    def __new__(cls, /, model: Model, options: "dict[str, Any]") -> Engine: ...
    def close(self, /) -> None:
        """
        Accepts nothing more, answers what was accepted, stops the threads. Idempotent. In a forked child
        there is nothing to stop.
        """
    def describe(self, /) -> str:
        """
        Device and why, options in force, plan, fusions, memory; for people.
        """
    @property
    def device(self, /) -> str:
        """
        The device taken, `cpu` or `cuda:N`.
        """
    def load(self, /, name: str, model: Model, options: "dict[str, Any]") -> None:
        """
        Loads another model under a name of its own, without the GIL.
        """
    @property
    def max_batch_size(self, /) -> int:
        """
        Largest batch, after the model's own limit.
        """
    def metrics(self, /, model: str) -> Incomplete:
        """
        Everything counted and measured of a model so far: the fields of a `Metrics`.
        """
    @property
    def models(self, /) -> list[str]:
        """
        Names of the loaded models, `default` first.
        """
    def prometheus(self, /) -> str:
        """
        The same of all models as text for Prometheus.
        """
    def start_classify(self, /, image: Any, *, top_k: SupportsIndex, min_score: SupportsFloat | SupportsIndex, deadline: SupportsFloat | SupportsIndex | None, **options: "Any") -> Request:
        """
        Asks for labels.
        """
    def start_embed(self, /, image: Any, *, deadline: SupportsFloat | SupportsIndex | None, **options: "Any") -> Request:
        """
        Asks for the pooled feature before the classifier.
        """
    def start_outputs(self, /, image: Any, *, deadline: SupportsFloat | SupportsIndex | None, **options: "Any") -> Request:
        """
        Asks for every output of the network.
        """
    def start_run(self, /, inputs: "dict[str, Any]", *, deadline: SupportsFloat | SupportsIndex | None, **options: "Any") -> Request:
        """
        Asks for every output of the network, from input tensors by name.
        """
    def swap(self, /, name: str, model: Model) -> None:
        """
        Hands all later requests to a new version, and waits for the old one, without the GIL.
        """
    def unload(self, /, name: str) -> None:
        """
        Answers what a model has accepted and gives its memory back, without the GIL.
        """
    def unready_reason(self, /) -> str | None:
        """
        Why requests should not be sent here; `None` if they should.
        """

@final
class Model:
    """
    A loaded and checked model, tied to no device.
    """
    def __new__(cls, /, path: str | PathLike[str], *, preprocess: Incomplete | None, labels: SupportsGetItem[int, str] | None, head: str | None, memory_map: bool | None, max_file_bytes: SupportsIndex | None) -> Model:
        """
        Loads an ONNX file, a safetensors file or a model directory. What is not `None` takes the place
        of what the files say, or of the default.
        """
    def describe(self, /) -> str:
        """
        Source, input, preprocessing, head, classes, size, passes; for people.
        """
    @property
    def head(self, /) -> str: ...
    @property
    def inputs(self, /) -> list[tuple[str, list[int | None]]]: ...
    @property
    def labels(self, /) -> list[str]: ...
    @property
    def name(self, /) -> str: ...
    @property
    def outputs(self, /) -> list[tuple[str, list[int | None]]]: ...
    @property
    def path(self, /) -> Path: ...
    @property
    def preprocess(self, /) -> Incomplete:
        """
        The fields of a `Preprocess`.
        """

@final
class Request:
    """
    A request that the engine accepted. Its answer is taken once, by `wait` or by `deliver`.
    """
    def cancel(self, /) -> None:
        """
        Asks for the request to be dropped; without effect once it is answered.
        """
    def deliver(self, /, sender: CompletionSender, receipt: Any) -> None:
        """
        Has the answer sent to `sender`, together with `receipt`.
        """
    def wait(self, /) -> Response:
        """
        Blocks until the answer is there, without the GIL. An exception from a signal handler, as Ctrl-C
        raises it, ends the wait and cancels the request.
        """

@final
class Response:
    """
    The answer to one request.
    """
    @property
    def batch_size(self, /) -> int:
        """
        How many images ran in the same batch.
        """
    def outputs(self, /) -> "dict[str, Any]":
        """
        Every output as a numpy array, under its name, with its batch axis.
        """
    @property
    def predictions(self, /) -> list[tuple[str, float, int]]:
        """
        Label, score and class index of each prediction, best first.
        """
    @property
    def timing(self, /) -> Incomplete:
        """
        Seconds spent in each stage, and in all.
        """
    @property
    def traceparent(self, /) -> str | None:
        """
        As the request had it.
        """

def completions() -> tuple[CompletionSender, CompletionReceiver]:
    """
    A new channel for answers.
    """

def defaults() -> Defaults:
    """
    The core's defaults.
    """

def error_kinds() -> list[tuple[int, str, str]]:
    """
    Every kind of error as number, name and hint.
    """

def imagenet(resize: SupportsIndex, crop: SupportsIndex) -> Incomplete:
    """
    The preprocessing that torchvision's ImageNet models are evaluated with.
    """
