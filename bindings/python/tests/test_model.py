"""Models and what they tell about themselves."""

import dataclasses

import libvision
import pytest


def test_a_model_describes_itself(model, model_path):
    assert model.path == model_path
    assert model.name in repr(model)
    assert len(model.labels) >= 80
    assert model.head == "softmax"
    ((_, shape),) = model.inputs.items()
    assert shape[0] is None and len(shape) == 4
    assert model.outputs["logits"] == (None, len(model.labels))
    assert model.describe()
    assert isinstance(model.preprocess, libvision.Preprocess)


def test_what_the_caller_knows_better(model_path, png):
    labels = [f"class {index}" for index in range(len(libvision.Model.load(model_path).labels))]
    model = libvision.Model.load(model_path, labels=labels, head="sigmoid", memory_map=False)
    assert model.labels == labels
    assert model.head == "sigmoid"
    with libvision.Engine(model) as engine:
        assert engine.classify(png).label.startswith("class ")


CHANGES = [
    lambda side: {"resize": 2 * side, "crop": (side, side)},
    lambda side: {"resize": (side, side), "crop": None},
    lambda side: {"resize": (side, side), "letterbox": (1, 2, 3), "crop": None},
    lambda side: {"resize": None, "filter": "lanczos", "apply_orientation": True},
    lambda side: {"crop": (side, side), "crop_floor": True},
    lambda side: {"scale": 1.0, "mean": (0.0, 0.5, 1.0), "std": (1.0, 2.0, 4.0)},
]


@pytest.mark.parametrize("changes", CHANGES)
def test_preprocessing_goes_in_and_comes_out(model, model_path, changes):
    side = next(iter(model.inputs.values()))[-1]
    wanted = dataclasses.replace(model.preprocess, crop=(side, side))
    wanted = dataclasses.replace(wanted, **changes(side))
    assert libvision.Model.load(model_path, preprocess=wanted).preprocess == wanted


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"filter": "cubic"}, "filter: expected one of nearest, box"),
        ({"layout": "chwn"}, "layout"),
        ({"resize": -1}, "resize"),
        ({"crop": (3, -1)}, "crop"),
        ({"letterbox": (0, 0, 0)}, "letterbox"),
    ],
)
def test_preprocessing_that_makes_no_sense(model_path, changes, words):
    preprocess = dataclasses.replace(libvision.Preprocess.imagenet(), **changes)
    with pytest.raises(libvision.ArgumentError, match=words):
        libvision.Model.load(model_path, preprocess=preprocess)


def test_what_cannot_be_loaded(tmp_path, model_path):
    with pytest.raises(FileNotFoundError):
        libvision.Model.load(tmp_path / "none.onnx")
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\xff" * 100)
    with pytest.raises(libvision.ModelError) as caught:
        libvision.Model.load(junk)
    assert caught.value.code == "MODEL_CORRUPT"
    with pytest.raises(libvision.ArgumentError):
        libvision.Model.load(model_path, head="softplus")
    with pytest.raises(libvision.VisionError):
        libvision.Model.load(model_path, labels=["too", "few"])
    with pytest.raises(libvision.ModelError) as caught:
        libvision.Model.load(model_path, max_file_bytes=10)
    assert caught.value.code == "MODEL_TOO_LARGE"
    with pytest.raises(TypeError):
        libvision.Model.load(None)
    with pytest.raises(TypeError, match="Model.load"):
        libvision.Model()
