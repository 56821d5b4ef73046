"""How programs use libvision, for type checkers: `mypy --strict` must accept every line."""

import asyncio
import dataclasses
from pathlib import Path

import libvision
import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import assert_type


def pictures(engine: libvision.Engine, pixels: npt.NDArray[np.uint8], image: Image.Image) -> None:
    assert_type(engine.classify("cat.jpg"), libvision.Result)
    assert_type(engine.classify(Path("cat.jpg"), 3, 0.5, deadline=1), libvision.Result)
    assert_type(engine.classify(b"..."), libvision.Result)
    assert_type(engine.classify(bytearray()), libvision.Result)
    assert_type(engine.classify(memoryview(b"")), libvision.Result)
    assert_type(engine.classify(pixels), libvision.Result)
    assert_type(engine.classify(image), libvision.Result)
    assert_type(engine.classify(["cat.jpg", "dog.jpg"]), list[libvision.Result])
    assert_type(engine.classify([Path("cat.jpg"), b"", pixels, image]), list[libvision.Result])
    paths = sorted(Path("pictures").iterdir())
    assert_type(engine.classify(paths), list[libvision.Result])
    for answer in engine.classify(["cat.jpg", image], return_errors=True):
        assert_type(answer, libvision.Result | Exception)


def requests(engine: libvision.Engine, options: libvision.RequestOptions) -> float:
    assert_type(engine.classify("cat.jpg", priority="high", tenant="a", traceparent=None), libvision.Result)
    assert_type(engine.classify(["cat.jpg"], **options), list[libvision.Result])
    assert_type(engine.submit("cat.jpg", priority="low").result().traceparent, str | None)
    engine.embed("cat.jpg", priority="urgent")  # type: ignore[arg-type]
    engine.embed("cat.jpg", tenent="a")  # type: ignore[call-arg]
    metrics = engine.metrics()
    print(engine.prometheus() if engine.is_ready else "", metrics.refused["queue_full"], metrics.total.buckets[0])
    return metrics.compute.mean


def results(result: libvision.Result) -> str:
    for label, score, class_index in result:
        print(label.upper(), round(score, 3), class_index + 1)
    print(result.batch_size, result.timing.compute * 1000)
    return result.label


def arrays(engine: libvision.Engine, image: npt.NDArray[np.float32]) -> None:
    assert_type(engine.embed("cat.jpg"), npt.NDArray[np.float32])
    similarity: float = float(engine.embed("cat.jpg") @ engine.embed("dog.jpg"))
    print(similarity, engine.outputs(["cat.jpg"])["logits"].shape)
    print(engine.run({"input": image})["logits"].argmax(), engine.run(image))


def pending(engine: libvision.Engine) -> None:
    assert_type(engine.submit("cat.jpg"), libvision.Pending[libvision.Result])
    assert_type(engine.submit("cat.jpg", "classify", top_k=1).result(), libvision.Result)
    assert_type(engine.submit("cat.jpg", "embed").result(timeout=1), npt.NDArray[np.float32])
    engine.submit("cat.jpg").add_done_callback(lambda pending: print(pending.result().label))


async def in_a_loop(engine: libvision.Engine) -> None:
    assert_type(await engine.classify_async("cat.jpg"), libvision.Result)
    assert_type(await engine.classify_async(["cat.jpg"]), list[libvision.Result])
    async with asyncio.TaskGroup() as group:
        task = group.create_task(engine.embed_async("cat.jpg"))
    assert_type(task.result(), npt.NDArray[np.float32])


def main() -> None:
    model = libvision.Model.load(Path("model"))
    upright = dataclasses.replace(model.preprocess, apply_orientation=True)
    model = libvision.Model.load("model", preprocess=upright, labels=["cat", "dog"])
    try:
        options: libvision.RequestOptions = {"priority": "low", "tenant": "a"}
        with libvision.Engine(
            model, device="cpu", window="adaptive", batch_buckets=[1, 16], tenant_weights={"a": 2}
        ) as engine:
            print(requests(engine, options))
            assert_type(engine.model.outputs["logits"], tuple[int | None, ...])
            asyncio.run(in_a_loop(engine))
    except libvision.VisionError as error:
        print(error.code, error.number, error.hint, error.retryable and error.retry_after)
    engine.classify(3)  # type: ignore[call-overload]
    engine.submit("cat.jpg", "label")  # type: ignore[call-overload]
