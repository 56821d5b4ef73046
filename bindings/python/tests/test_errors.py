"""The exception classes."""

import pickle
import traceback

import libvision
import pytest
from libvision import _libvision, errors

CLASSES = {
    1: libvision.ArgumentError,
    2: libvision.ImageError,
    3: libvision.ModelError,
    4: libvision.DeviceError,
    5: libvision.EngineError,
    9: libvision.InternalError,
}
KINDS = _libvision.error_kinds()


@pytest.mark.parametrize(("number", "code", "hint"), KINDS, ids=[code for _, code, _ in KINDS])
def test_every_kind_of_the_core_has_the_class_of_its_group(number, code, hint):
    error = errors.make("what happened", code, number, hint)
    assert isinstance(error, CLASSES[number // 100])
    assert isinstance(error, libvision.VisionError)
    assert (error.code, error.number, error.hint) == (code, number, hint)
    assert str(error) == "what happened"
    printed = "".join(traceback.format_exception(error))
    assert not hint or f"\n{hint}\n" in printed
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.code, copy.number) == (type(error), str(error), code, number)
    assert "".join(traceback.format_exception(copy)) == printed


def test_builtin_classes_catch_them_too():
    assert issubclass(libvision.ArgumentError, ValueError)
    for number, code, hint in KINDS:
        error = errors.make("", code, number, hint)
        assert isinstance(error, OSError) == (code in ("FILE_NOT_FOUND", "FILE_UNREADABLE"))
        assert isinstance(error, FileNotFoundError) == (code == "FILE_NOT_FOUND")


def test_what_cannot_be_pickled_says_what_to_do(engine, model):
    for thing, words in ((engine, "create an engine in the worker"), (model, "load it in the worker")):
        with pytest.raises(TypeError, match=words):
            pickle.dumps(thing)


def test_results_can_be_pickled(engine, png):
    result = engine.classify(png)
    assert pickle.loads(pickle.dumps(result)) == result
