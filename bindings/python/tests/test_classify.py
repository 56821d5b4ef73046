"""classify, embed, outputs and run: one picture, lists, options."""

import libvision
import numpy as np
import pytest


def test_the_result_of_one_picture(engine, png):
    result = engine.classify(png)
    assert isinstance(result, libvision.Result)
    assert len(result) == len(list(result)) == 5
    assert result.label == result.predictions[0].label == engine.labels[result.predictions[0].class_index]
    assert result.score == result.predictions[0].score
    scores = [prediction.score for prediction in result]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] and scores[0] <= 1
    assert result.batch_size >= 1
    label, score, class_index = result.predictions[0]
    assert (label, score) == (result.label, result.score)
    with pytest.raises(AttributeError):
        result.predictions[0].label = "other"
    with pytest.raises(AttributeError):
        result.batch_size = 3


def test_timing_adds_up(engine, png):
    *stages, total = engine.classify(png).timing
    assert all(stage >= 0 for stage in stages)
    assert sum(stages) == pytest.approx(total, abs=1e-6)


def test_scores_of_all_classes_sum_to_one(engine, png):
    result = engine.classify(png, top_k=len(engine.labels))
    assert sum(prediction.score for prediction in result) == pytest.approx(1, abs=1e-5)
    assert sorted(p.class_index for p in result) == list(range(len(engine.labels)))


def test_min_score(engine, png):
    best = engine.classify(png).score
    assert all(p.score >= best / 2 for p in engine.classify(png, min_score=best / 2))
    none = engine.classify(png, min_score=1.1)
    assert none.predictions == [] and not len(none)
    with pytest.raises(IndexError):
        none.label  # noqa: B018
    assert "no prediction" in repr(none)


def test_how_a_result_shows_itself():
    result = libvision.Result(
        [libvision.Prediction("<cat> & dog", 0.75, 3)], 1, libvision.Timing(0, 0, 0, 0, 0, 0, 0)
    )
    assert repr(result) == "<libvision.Result <cat> & dog 0.750>"
    page = result._repr_html_()
    assert "&lt;cat&gt; &amp; dog" in page and "<cat>" not in page
    assert "0.750" in page and "width:75px" in page


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"top_k": 0}, "top_k"),
        ({"top_k": -1}, "top_k: expected 0 or more, found -1"),
        ({"deadline": -1.0}, "deadline: expected seconds, 0 or more, found -1"),
        ({"deadline": float("nan")}, "deadline"),
        ({"min_score": float("nan")}, "min_score"),
    ],
)
def test_options_out_of_range(engine, png, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        engine.classify(png, **options)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_list_gives_the_answers_of_its_pictures_in_order(engine, pictures):
    alone = [engine.classify(path).predictions for path in pictures]
    assert [result.predictions for result in engine.classify(pictures)] == alone
    assert [result.predictions for result in engine.classify(tuple(pictures[:3]))] == alone[:3]
    assert engine.classify([]) == []


def test_a_list_fills_batches(held, pictures):
    results = held.classify(pictures[:8])
    assert [result.batch_size for result in results] == [8] * 8


def test_a_list_never_overfills_the_queue(model, pictures, monkeypatch):
    with libvision.Engine(model, queue_capacity=2, max_batch_size=2) as engine:
        start_classify = engine._core.start_classify
        refusals = []

        class Watched:
            def __getattr__(self, name):
                return getattr(core, name)

            def start_classify(self, *arguments, **options):
                try:
                    return start_classify(*arguments, **options)
                except libvision.VisionError as error:
                    refusals.append(error)
                    raise

        core = engine._core
        monkeypatch.setattr(engine, "_core", Watched())
        assert len(engine.classify(pictures)) == len(pictures)
        assert refusals == []


def test_a_list_of_mixed_kinds(engine, png, pixels):
    from PIL import Image

    results = engine.classify([png, str(png), png.read_bytes(), pixels, Image.open(png)])
    assert all(result.predictions == results[0].predictions for result in results)


def test_the_first_error_of_a_list_is_raised_and_says_where(engine, png):
    with pytest.raises(libvision.ImageError) as caught:
        engine.classify([png, png, b"no picture", png])
    assert "picture at position 2 of the list" in caught.value.__notes__
    with pytest.raises(libvision.ArgumentError):
        engine.classify([png, None])
    assert engine.classify(png).predictions


def test_errors_in_the_place_of_results(engine, png):
    images = [png, b"no picture", None, "no/such/file", png]
    first, unknown, none, missing, last = engine.classify(images, return_errors=True)
    assert first.predictions == last.predictions
    assert unknown.code == "IMAGE_FORMAT_UNKNOWN"
    assert none.code == "INVALID_ARGUMENT"
    assert missing.code == "FILE_NOT_FOUND"


def test_embeddings(engine, model, pictures):
    one = engine.embed(pictures[0])
    assert one.dtype == np.float32
    assert one.shape == model.outputs["embedding"][1:] and len(one.shape) == 1
    assert one.flags.writeable and one.flags.aligned
    many = engine.embed(pictures[:5])
    assert many.shape == (5, *one.shape) and many.dtype == np.float32
    assert np.array_equal(many[0], one)
    assert not np.array_equal(many[1], one)
    none = engine.embed([])
    assert none.shape == (0, *one.shape) and none.dtype == np.float32


def test_outputs_of_pictures(engine, model, pictures):
    one = engine.outputs(pictures[0])
    assert next(iter(one)) == "logits"
    assert list(one) == list(model.outputs)
    assert one["logits"].shape == (len(engine.labels),)
    many = engine.outputs(pictures[:3])
    assert many["logits"].shape == (3, len(engine.labels))
    assert np.array_equal(many["logits"][0], one["logits"])
    assert engine.outputs([])["logits"].shape == (0, len(engine.labels))


def test_run_of_a_preprocessed_tensor(engine, model):
    (name, shape), *_ = model.inputs.items()
    array = np.random.default_rng(0).standard_normal((2, *shape[1:]), np.float32)
    outputs = engine.run({name: array})
    assert outputs["logits"].shape == (2, len(engine.labels))
    assert np.array_equal(engine.run(array)["logits"], outputs["logits"])
    strided = np.asfortranarray(array)
    assert np.array_equal(engine.run(strided)["logits"], outputs["logits"])
    assert np.array_equal(engine.run(array[1:])["logits"], outputs["logits"][1:])


def test_run_refuses_what_does_not_fit(engine, model):
    (name, shape), *_ = model.inputs.items()
    right = np.zeros((1, *shape[1:]), np.float32)
    wrong = {
        "DTYPE_MISMATCH": [right.astype(np.float64), right.astype(">f4"), right.astype(np.uint8)],
        "SHAPE_MISMATCH": [right[0], right[:, :, 1:], np.zeros((0, *shape[1:]), np.float32)],
    }
    for code, arrays in wrong.items():
        for array in arrays:
            with pytest.raises(libvision.ArgumentError) as caught:
                engine.run({name: array})
            assert caught.value.code == code, str(caught.value)
            assert name in str(caught.value)
    for inputs in ({}, {"other": right}, {name: None}, {name: right, "other": right}):
        with pytest.raises(libvision.ArgumentError):
            engine.run(inputs)


def test_options_of_the_engine(model):
    with libvision.Engine(model, max_batch_size=3, threads=1, decode_threads=1) as engine:
        assert engine.max_batch_size == 3
        assert engine.device == "cpu"
        assert engine.model is model
        assert "max_batch_size" in engine.describe()
        assert repr(engine) == f"<libvision.Engine {model.name!r} on cpu>"
    for options, words in [
        ({"max_batch_size": 0}, "max_batch_size"),
        ({"max_batch_size": -8}, "max_batch_size: expected 0 or more, found -8"),
        ({"queue_capacity": 0}, "queue_capacity"),
        ({"max_queue_delay": -0.5}, "max_queue_delay"),
        ({"device": "gpu"}, "device"),
    ]:
        with pytest.raises(libvision.ArgumentError, match=words):
            libvision.Engine(model, **options)
    with pytest.raises(TypeError):
        libvision.Engine(model, max_batch=3)


def test_a_device_that_is_not_there(model):
    with pytest.raises(libvision.DeviceError) as caught:
        libvision.Engine(model, device="cuda:0")
    assert caught.value.code == "DEVICE_UNAVAILABLE"


def test_two_engines_of_one_model_and_a_path(model, model_path, png):
    with libvision.Engine(model) as one, libvision.Engine(model_path) as two:
        assert one.classify(png).predictions == two.classify(png).predictions


def test_a_closed_engine_refuses(model, png):
    engine = libvision.Engine(model)
    engine.close()
    engine.close()
    for call in (engine.classify, engine.embed, engine.submit):
        with pytest.raises(libvision.EngineError) as caught:
            call(png)
        assert caught.value.code == "ENGINE_CLOSED"
