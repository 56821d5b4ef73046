"""What the engine promises beyond answers: the scene of ffi/tests/c/engine_features.c, and keywords."""

import asyncio
import math
import pickle

import libvision
import numpy as np
import pytest

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def waiting(model):
    """A batch of four that nobody fills up waits for an hour: two requests fill the queue."""
    with libvision.Engine(
        model,
        device="cpu",
        max_batch_size=4,
        queue_capacity=2,
        max_queue_delay=3600,
        window="throughput",
        batch_buckets=[4],
        tenant_weights={"gold": 3},
    ) as engine:
        yield engine


def parts_add_up(timing):
    return timing.total > 0 and math.isclose(sum(timing[:-1]), timing.total, rel_tol=0.01)


def test_the_scene(waiting, png):
    first = waiting.submit(png, priority="high", tenant="gold", traceparent=TRACEPARENT)
    second = waiting.submit(png, tenant="unnamed before", traceparent="malformed, and ignored")

    with pytest.raises(libvision.EngineError) as full:
        waiting.submit(png)
    assert full.value.code == "QUEUE_FULL"
    assert full.value.retryable and full.value.retry_after > 0
    copy = pickle.loads(pickle.dumps(full.value))
    assert (copy.retryable, copy.retry_after) == (True, full.value.retry_after)

    assert second.cancel()
    with pytest.raises(libvision.EngineError) as late:
        waiting.classify(png, deadline=1e-6)
    assert late.value.code in ("DEADLINE_INFEASIBLE", "DEADLINE_EXCEEDED") and late.value.retryable

    waiting.close()
    result = first.result()
    assert result.traceparent == TRACEPARENT
    assert parts_add_up(result.timing)

    metrics = waiting.metrics()
    assert (metrics.arrived, metrics.delivered, metrics.in_flight) == (4, 1, 0)
    assert metrics.refused["queue_full"] == metrics.refused["cancelled"] == 1
    assert metrics.refused["deadline_infeasible"] + metrics.refused["deadline_exceeded"] == 1
    assert metrics.arrived == metrics.delivered + sum(metrics.refused.values()) + metrics.in_flight
    assert (metrics.batches, metrics.images, metrics.padding_images) == (1, 1, 3)
    assert metrics.total.count == 1 and metrics.total.mean == metrics.total.sum > 0
    assert (metrics.batch_size.ends[0], metrics.batch_size.buckets[0]) == (1, 1)
    assert metrics.memory_bytes > 0 and not metrics.is_ready
    memory = metrics.memory
    assert memory.host == sum(item.count * item.each for item in memory.items if item.place == "host")
    assert memory.host > metrics.memory_bytes and memory.pinned == memory.device == 0
    assert metrics.cache.hits == metrics.cache.entries == 0
    text = waiting.prometheus()
    assert 'reason="queue_full"} 1\n' in text and "# TYPE libvision_total_seconds histogram" in text


def test_the_cache_counts(model, png):
    with libvision.Engine(model, device="cpu", cache_entries=4) as engine:
        first, second = (engine.classify(png.read_bytes()) for _ in range(2))
        assert first.predictions == second.predictions
        cache = engine.metrics().cache
    assert (cache.hits, cache.misses, cache.joined, cache.evicted, cache.entries) == (1, 1, 0, 0, 1)
    assert cache.bytes > 0


def test_an_engine_that_serves_is_ready_and_counts(model, pictures):
    with libvision.Engine(model) as engine:
        assert engine.is_ready and engine.metrics().arrived == 0
        results = engine.classify(pictures)
        assert all(parts_add_up(result.timing) and result.traceparent is None for result in results)
        metrics = engine.metrics()
        assert metrics.delivered == metrics.images == metrics.total.count == len(pictures)
        assert math.isclose(metrics.compute.sum, sum(result.timing.compute for result in results))
    assert not engine.is_ready


@pytest.mark.parametrize("method", ["classify", "embed", "outputs"])
def test_every_call_takes_the_options_of_a_request(engine, png, method):
    options = {"priority": "low", "tenant": "a", "traceparent": TRACEPARENT, "deadline": 60.0}
    plain = getattr(engine, method)(png)
    several = getattr(engine, method)([png, png], **options)
    assert len(several["logits"] if method == "outputs" else several) == 2
    for answer in (
        getattr(engine, method)(png, **options),
        asyncio.run(getattr(engine, f"{method}_async")(png, **options)),
        engine.submit(png, method, **options).result(),
    ):
        assert type(answer) is type(plain)
    with pytest.raises(TypeError, match="unexpected keyword argument 'tenent'; a request takes deadline,"):
        getattr(engine, method)(png, tenent="a")


def test_tensors_take_the_options_of_a_request(engine, model):
    (shape,) = model.inputs.values()
    array = np.zeros((1, *shape[1:]), np.float32)
    expected = engine.run(array)["logits"]
    options = {"priority": "high", "tenant": None, "traceparent": None}
    assert np.array_equal(engine.run(array, **options)["logits"], expected)
    assert np.array_equal(asyncio.run(engine.run_async(array, **options))["logits"], expected)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"priority": "urgent"}, "priority: expected 'high', 'normal' or 'low', found 'urgent'"),
        ({"priority": 1}, "priority: expected 'high', 'normal' or 'low', found 1"),
        ({"deadline": -1}, "deadline: expected seconds"),
    ],
)
def test_a_request_option_that_means_nothing_is_named(engine, png, options, words):
    with pytest.raises(libvision.ArgumentError, match=words):
        engine.classify(png, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"window": "slow"}, "window: expected 'latency', 'throughput' or 'adaptive', found 'slow'"),
        ({"batch_buckets": [0]}, "batch_buckets must be from 1 to"),
        ({"batch_buckets": [-1]}, "batch_buckets: expected 0 or more, found -1"),
        ({"tenant_weights": {"a": 0}}, 'weight of tenant "a" must be from 1 to 1000, found 0'),
        ({"tenant_weights": {"a": 2**40}}, 'weight of tenant "a" must be from 1 to 1000'),
        ({"encoded_budget": 0}, "encoded_budget must be from 1 to"),
        ({"stuck_after": float("nan")}, "stuck_after: expected seconds"),
    ],
)
def test_an_engine_option_that_means_nothing_is_named(model, options, words):
    with pytest.raises(libvision.ArgumentError, match=words):
        libvision.Engine(model, **options)


def test_one_large_tenant_leaves_room_for_others(model, png):
    with libvision.Engine(model, queue_capacity=4, max_queue_delay=3600, window="throughput") as engine:
        # Seen once, it has a share from then on.
        engine.submit(png, tenant="small").cancel()
        flood = []
        with pytest.raises(libvision.EngineError, match="queue_capacity"):
            while True:
                flood.append(engine.submit(png, tenant="large"))
        assert len(flood) < 4
        assert engine.submit(png, tenant="small")


def test_order_is_kept_if_asked_for(model, pictures):
    order = []
    with libvision.Engine(model, preserve_order=True, max_batch_size=2, decode_threads=4) as engine:
        for i, picture in enumerate(pictures[:16]):
            priority = "low" if i % 2 else "high"
            pending = engine.submit(picture, priority=priority)
            pending.add_done_callback(lambda _, i=i: order.append(i))
    assert order == list(range(16))


def test_models_come_and_go_while_requests_go_on(model, model_path, png):
    with libvision.Engine(model) as engine:
        engine.load("other", model_path, max_batch_size=2, queue_capacity=3)
        assert list(engine.models) == ["default", "other"] and engine.readiness()
        expected = engine.classify(png).predictions
        assert engine.classify(png, model="other").predictions == expected
        assert len(engine.embed([png, png], model="other")) == 2
        (shape,) = model.inputs.values()
        assert engine.run(np.zeros((1, *shape[1:]), np.float32), model="other")["logits"].shape[0] == 1
        metrics = engine.metrics("other")
        assert (metrics.model, metrics.version, metrics.delivered) == ("other", 1, 4)
        assert (metrics.cold_paths, metrics.self_tests_failed, metrics.is_ready) == (0, 0, True)
        assert engine.metrics().delivered == 1
        assert 'model="other",version="1"' in engine.prometheus()

        new = libvision.Model.load(model_path)
        engine.swap("other", new)
        assert engine.models["other"] is new and engine.metrics("other").version == 2
        assert engine.classify(png, model="other").predictions == expected

        engine.unload("other")
        assert list(engine.models) == ["default"]
        for wrong in (
            lambda: engine.classify(png, model="other"),
            lambda: engine.swap("other", model),
            lambda: engine.unload("default"),
            lambda: engine.metrics("other"),
        ):
            with pytest.raises(libvision.ArgumentError, match="default"):
                wrong()
        with pytest.raises(TypeError, match="unexpected keyword argument 'batch'; an engine takes device,"):
            engine.load("third", model, batch=3)
    readiness = engine.readiness()
    assert not readiness and "closed" in readiness.reason


def test_what_does_not_hold_is_refused_before_it_is_taken(model):
    with pytest.raises(libvision.DeviceError) as refused:
        libvision.Engine(model, memory_limit=1000)
    assert refused.value.code == "OUT_OF_MEMORY"
    with pytest.raises(libvision.ArgumentError, match="precision: expected 'auto', 'f32'"):
        libvision.Engine(model, precision="f64")


def test_an_engine_that_is_not_proven_serves_and_is_not_ready(model, png):
    with libvision.Engine(model, prove=False) as engine:
        assert engine.classify(png).label
        assert not engine.is_ready and "prove" in engine.readiness().reason
