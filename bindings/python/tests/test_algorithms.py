"""How convolutions are computed: `precise` and `tuning`."""

import libvision
import pytest


def test_precise_finds_the_same(model_path, pictures):
    with libvision.Engine(model_path) as fast, libvision.Engine(model_path, precise=True) as precise:
        for picture in pictures[:3]:
            expected, found = fast.classify(picture), precise.classify(picture)
            assert found.label == expected.label
            assert found.score == pytest.approx(expected.score, abs=1e-4)


def test_what_is_no_tuning_is_refused_by_name(model_path, tmp_path):
    path = tmp_path / "tuning.json"
    path.write_text("{}")
    with pytest.raises(libvision.VisionError, match="tuning.json") as caught:
        libvision.Engine(model_path, tuning=path)
    assert caught.value.code == "TUNING_MISMATCH"
    with pytest.raises(FileNotFoundError, match="nowhere.json"):
        libvision.Engine(model_path, tuning=tmp_path / "nowhere.json")
