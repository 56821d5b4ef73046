"""Requests whose answers come later, and threads."""

import concurrent.futures
import threading
import time

import libvision
import pytest


def test_a_pending_request_is_a_future(engine, png):
    pending = engine.submit(png)
    assert isinstance(pending, libvision.Pending)
    assert pending.result(timeout=60).predictions == engine.classify(png).predictions
    assert pending.done() and not pending.cancelled() and not pending.cancel()
    assert pending.exception() is None
    done, not_done = concurrent.futures.wait([engine.submit(png), engine.submit(png, "embed")], 60)
    assert len(done) == 2 and not not_done


def test_tasks(engine, png):
    assert engine.submit(png, top_k=2).result().predictions == engine.classify(png, 2).predictions
    assert (engine.submit(png, "embed").result() == engine.embed(png)).all()
    assert (engine.submit(png, "outputs").result()["logits"] == engine.outputs(png)["logits"]).all()
    with pytest.raises(ValueError, match="task"):
        engine.submit(png, "label")


def test_an_error_comes_with_the_answer(engine, png):
    pending = engine.submit(png.read_bytes()[:-200])
    assert isinstance(pending.exception(), libvision.ImageError)
    with pytest.raises(libvision.ImageError):
        pending.result()


def test_result_gives_up_after_its_timeout(held, png):
    pending = held.submit(png)
    with pytest.raises(TimeoutError):
        pending.result(timeout=0.01)
    assert not pending.done()
    held.close()
    assert pending.result().predictions


def test_cancel(held, png):
    pending = held.submit(png)
    called = threading.Event()
    pending.add_done_callback(lambda _: called.set())
    assert pending.cancel() and pending.cancelled() and pending.done()
    assert called.is_set()
    with pytest.raises(concurrent.futures.CancelledError):
        pending.result()


def test_a_deadline_passes(held, png):
    with pytest.raises(libvision.EngineError) as caught:
        held.classify(png, deadline=0.01)
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_callbacks(engine, png):
    answers = []
    pending = engine.submit(png)
    called = threading.Event()
    pending.add_done_callback(lambda pending: answers.append(pending.result().label))
    pending.add_done_callback(lambda _: called.set())
    assert called.wait(60)
    assert answers == [engine.classify(png).label]


def test_closing_waits_for_callbacks(model, png):
    answers = []

    def slow(pending):
        time.sleep(0.05)
        answers.append(pending)

    with libvision.Engine(model) as engine:
        for _ in range(4):
            engine.submit(png).add_done_callback(slow)
    assert len(answers) == 4


def test_a_callback_may_close_the_engine(model, png):
    engine = libvision.Engine(model)
    closed = threading.Event()

    def close(_):
        engine.close()
        closed.set()

    engine.submit(png).add_done_callback(close)
    assert closed.wait(60)


def test_a_callback_that_fails_harms_no_other(engine, png, caplog):
    def fail(_):
        raise KeyError("in the callback")

    failing = engine.submit(png)
    failing.add_done_callback(fail)
    assert failing.result().predictions
    assert engine.submit(png).result().predictions


def test_an_engine_that_is_forgotten_answers_first(model, png):
    pending = libvision.Engine(model).submit(png)
    assert pending.result(60).predictions


def test_queue_full_is_raised_at_once(model, png):
    waiting = {"max_queue_delay": 600, "window": "throughput"}
    with libvision.Engine(model, queue_capacity=4, max_batch_size=8, **waiting) as engine:
        # More than fit into the batch under way and the queue together.
        pending = []
        with pytest.raises(libvision.EngineError) as caught:
            for _ in range(100):
                pending.append(engine.submit(png))
        assert caught.value.code == "QUEUE_FULL"
        for one in pending:
            one.cancel()


def test_threads_share_batches_and_get_the_bits_they_get_alone(engine, model, pictures):
    alone = [engine.classify(pictures[index]) for index in range(32)]
    start = threading.Barrier(32)
    with libvision.Engine(model, max_queue_delay=0.2, window="throughput") as batching:

        def classify(index):
            start.wait()
            return batching.classify(pictures[index])

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            together = list(pool.map(classify, range(32)))
    assert [r.predictions for r in together] == [r.predictions for r in alone]
    assert max(result.batch_size for result in together) > 1
    assert max(result.batch_size for result in together) <= 8


def test_other_threads_run_while_one_waits(held, png):
    """The wait ends only through what another thread does."""
    closer = threading.Timer(0.05, held.close)
    closer.start()
    assert held.classify(png).predictions
    closer.join()
