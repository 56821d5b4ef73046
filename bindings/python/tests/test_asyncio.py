"""Engines in event loops."""

import asyncio

import libvision
import numpy as np
import pytest


def test_gather(engine, model, pictures):
    async def main():
        return await asyncio.gather(*(batching.classify_async(path) for path in pictures[:32]))

    with libvision.Engine(model, max_queue_delay=0.2, window="throughput") as batching:
        together = asyncio.run(main())
    assert [r.predictions for r in together] == [engine.classify(p).predictions for p in pictures[:32]]
    assert max(result.batch_size for result in together) > 1


def test_lists_and_other_tasks(model, engine, pictures):
    (shape,) = model.inputs.values()
    array = np.ones((1, *shape[1:]), np.float32)

    async def main():
        results = await engine.classify_async(pictures)
        errors = await engine.classify_async([pictures[0], b"", None], return_errors=True)
        return (
            results,
            errors,
            await engine.embed_async(pictures[:3]),
            await engine.outputs_async(pictures[0]),
            await engine.run_async(array),
        )

    results, errors, embeddings, outputs, run = asyncio.run(main())
    assert [result.predictions for result in results] == [r.predictions for r in engine.classify(pictures)]
    assert isinstance(errors[0], libvision.Result)
    assert [error.code for error in errors[1:]] == ["IMAGE_FORMAT_UNKNOWN", "INVALID_ARGUMENT"]
    assert np.array_equal(embeddings, engine.embed(pictures[:3]))
    assert np.array_equal(outputs["logits"], engine.outputs(pictures[0])["logits"])
    assert np.array_equal(run["logits"], engine.run(array)["logits"])


def test_a_list_longer_than_the_queue(model, pictures):
    with libvision.Engine(model, queue_capacity=2, max_batch_size=2) as engine:
        results = asyncio.run(engine.classify_async(pictures))
    assert len(results) == len(pictures)


def test_errors_are_raised_in_the_task(engine):
    with pytest.raises(libvision.ImageError):
        asyncio.run(engine.classify_async(b"no picture"))


def test_cancelling_the_task_cancels_the_requests(held, png):
    async def main():
        single = asyncio.create_task(held.classify_async(png))
        several = asyncio.create_task(held.classify_async([png, png, png]))
        await asyncio.sleep(0.01)
        single.cancel()
        several.cancel()
        cancelled = await asyncio.gather(single, several, return_exceptions=True)
        # Were one of the four left, it would take a place in this batch of eight.
        return cancelled, await asyncio.gather(*(held.classify_async(png) for _ in range(8)))

    cancelled, answers = asyncio.run(asyncio.wait_for(main(), 60))
    assert [type(answer) for answer in cancelled] == [asyncio.CancelledError] * 2
    assert [answer.batch_size for answer in answers] == [8] * 8


def test_timeout_of_asyncio(held, png):
    async def main():
        async with asyncio.timeout(0.02):
            await held.classify_async(png)

    with pytest.raises(TimeoutError):
        asyncio.run(main())


def test_the_loop_goes_on_while_requests_wait(held, png):
    async def main():
        task = asyncio.create_task(held.classify_async(png))
        await asyncio.sleep(0)
        rest = [held.classify_async(png) for _ in range(7)]
        return await asyncio.gather(task, *rest)

    results = asyncio.run(main())
    assert [result.batch_size for result in results] == [8] * 8
