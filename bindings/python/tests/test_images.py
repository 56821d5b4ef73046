"""Every kind of picture that an engine takes, and what people give by mistake."""

import io
import os

import libvision
import numpy as np
import pytest
from PIL import Image


def logits(engine, image):
    return engine.outputs(image)["logits"]


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


SAME_PICTURE = {
    "Path": lambda png, pixels: png,
    "str": lambda png, pixels: str(png),
    "PathLike": lambda png, pixels: _Entry(png),
    "bytes": lambda png, pixels: png.read_bytes(),
    "bytearray": lambda png, pixels: bytearray(png.read_bytes()),
    "memoryview": lambda png, pixels: memoryview(png.read_bytes()),
    "flat array": lambda png, pixels: np.fromfile(png, np.uint8),
    "array": lambda png, pixels: pixels,
    "read-only array": lambda png, pixels: np.frombuffer(pixels.tobytes(), np.uint8).reshape(pixels.shape),
    "array with alpha": lambda png, pixels: np.dstack([pixels, np.full(pixels.shape[:2], 7, np.uint8)]),
    "Fortran order": lambda png, pixels: np.asfortranarray(pixels),
    "BGR turned round": lambda png, pixels: pixels[:, :, ::-1].copy()[:, :, ::-1],
    "every other pixel": lambda png, pixels: pixels.repeat(2, 0).repeat(2, 1)[::2, ::2],
    "memoryview of an array": lambda png, pixels: memoryview(pixels),
    "object with __array__": lambda png, pixels: _Tensor(pixels),
    "Pillow": lambda png, pixels: Image.fromarray(pixels),
    "Pillow with alpha": lambda png, pixels: _with_alpha(pixels),
    "Pillow, not loaded": lambda png, pixels: Image.open(png),
}


class _Entry:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return str(self.path)


class _Tensor:
    """As torch's tensors: no buffer protocol, an array on demand."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        return self.array


def _with_alpha(pixels):
    image = Image.fromarray(pixels)
    image.putalpha(9)
    return image


@pytest.mark.parametrize("kind", SAME_PICTURE)
def test_every_kind_of_the_same_picture_gives_the_same_answer(engine, png, pixels, kind):
    image = SAME_PICTURE[kind](png, pixels)
    assert np.array_equal(logits(engine, image), logits(engine, png))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "CMYK", "YCbCr", "HSV", "I", "F", "I;16", "RGBX"])
def test_pillow_modes_are_converted_as_pillow_does(engine, pixels, mode):
    image = Image.fromarray(pixels).convert("L" if mode == "I;16" else "RGB").convert(mode)
    assert np.array_equal(logits(engine, image), logits(engine, np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP"])
def test_encoded_formats(engine, pixels, kind):
    data = encoded(Image.fromarray(pixels), kind)
    assert engine.classify(data).predictions
    assert np.array_equal(logits(engine, data), logits(engine, bytearray(data)))


def test_an_array_may_be_changed_once_it_was_submitted(engine, pixels):
    array = pixels.copy()
    pending = engine.submit(array, "outputs")
    array[:] = 0
    assert np.array_equal(pending.result()["logits"], logits(engine, pixels))


def test_one_pixel(engine):
    assert len(engine.classify(np.zeros((1, 1, 3), np.uint8)).predictions) == 5


GREY = np.zeros((20, 30), np.uint8)
WRONG = {
    "None": (None, "INVALID_ARGUMENT", "found NoneType"),
    "number": (3, "INVALID_ARGUMENT", "found int"),
    "dictionary": ({"image": b""}, "INVALID_ARGUMENT", "found dict"),
    "open file": (io.BytesIO(b""), "INVALID_ARGUMENT", "read()"),
    "generator": ((x for x in ()), "INVALID_ARGUMENT", "as a list"),
    "floats": (np.zeros((20, 30, 3), np.float32), "INVALID_ARGUMENT", "float32 of shape [20, 30, 3]"),
    "wide integers": (np.zeros((20, 30, 3), np.int64), "INVALID_ARGUMENT", "int64 of shape [20, 30, 3]"),
    "signed bytes": (np.zeros((20, 30, 3), np.int8), "INVALID_ARGUMENT", "int8 of shape [20, 30, 3]"),
    "booleans": (np.zeros((20, 30, 3), bool), "INVALID_ARGUMENT", "bool of shape [20, 30, 3]"),
    "grey": (GREY, "INVALID_ARGUMENT", "three times"),
    "grey with an axis": (GREY[..., None], "INVALID_ARGUMENT", "three times"),
    "channels first": (np.zeros((3, 20, 30), np.uint8), "INVALID_ARGUMENT", "transpose(1, 2, 0)"),
    "batch": (np.zeros((2, 20, 30, 3), np.uint8), "INVALID_ARGUMENT", "list(array)"),
    "two channels": (np.zeros((20, 30, 2), np.uint8), "INVALID_ARGUMENT", "uint8 of shape [20, 30, 2]"),
    "no rows": (np.zeros((0, 30, 3), np.uint8), "INVALID_ARGUMENT", "0"),
    "scalar array": (np.uint8(3), "INVALID_ARGUMENT", "found uint8"),
    "empty bytes": (b"", "IMAGE_FORMAT_UNKNOWN", ""),
    "text": (b"hello, this is no picture at all", "IMAGE_FORMAT_UNKNOWN", ""),
    "path that is missing": ("no/such/picture.png", "FILE_NOT_FOUND", "no/such/picture.png"),
    "directory": (os.path.dirname(__file__), "FILE_UNREADABLE", os.path.dirname(__file__)),
    "path with a zero": ("a\0b.png", None, ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_pictures_are_named(engine, case):
    image, code, words = WRONG[case]
    with pytest.raises(libvision.VisionError) as caught:
        engine.classify(image)
    if code:
        assert caught.value.code == code
    assert words in str(caught.value)


def test_a_missing_picture_is_a_missing_file(engine):
    with pytest.raises(FileNotFoundError):
        engine.classify("no/such/picture.png")


def test_a_cut_off_picture(engine, png):
    data = png.read_bytes()
    with pytest.raises(libvision.ImageError) as caught:
        engine.classify(data[: len(data) // 2])
    assert caught.value.code in ("IMAGE_TRUNCATED", "IMAGE_CORRUPT")


def test_limits_are_engine_options(model, png, pixels):
    with libvision.Engine(model, max_side=8) as engine:
        for image in (png, png.read_bytes(), pixels):
            with pytest.raises(libvision.ImageError) as caught:
                engine.classify(image)
            assert caught.value.code == "IMAGE_TOO_COSTLY"
            assert "max_side" in str(caught.value)


def test_errors_of_pillow_stay_as_they_are(engine, png, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(png.read_bytes()[:-600])
    with Image.open(broken) as image, pytest.raises(OSError, match="truncated"):
        engine.classify(image)


def test_exif_orientation_is_an_option_of_the_model(model, pixels):
    import dataclasses

    turned = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(turned, "PNG", exif=exif)
    upright = dataclasses.replace(model.preprocess, apply_orientation=True)
    oriented = libvision.Model.load(model.path, preprocess=upright)
    with libvision.Engine(model) as plain, libvision.Engine(oriented) as applied:
        assert np.array_equal(logits(plain, data), logits(plain, pixels))
        assert np.array_equal(logits(applied, data), logits(plain, np.rot90(pixels, -1)))
