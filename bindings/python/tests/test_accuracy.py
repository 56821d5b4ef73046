"""The logits of a full-size ResNet are those of float64 arithmetic, within a part of the largest."""

import subprocess
import sys

import libvision
import numpy as np

# The largest difference, as a part of the largest logit. `benches/compare/accuracy.py` checks a hundred pictures.
TOLERANCE = 1e-4


def test_logits_are_those_of_float64(root, tmp_path, monkeypatch):
    golden = root / "tests/golden"
    options = ["--network", "resnet18", "--side", "112"]
    subprocess.run([sys.executable, golden / "make_resnets.py", tmp_path, *options], check=True, capture_output=True)
    (path,) = tmp_path.iterdir()
    monkeypatch.syspath_prepend(golden)
    from float64_reference import Reference
    from numpy_layers import random_pictures

    pictures = random_pictures(np.random.default_rng(3), 3, 112)
    exact = Reference(path).logits(pictures)
    with libvision.Engine(path, max_batch_size=3) as engine:
        found = engine.run({"input": pictures})["logits"]
    assert np.abs(found - exact).max() <= TOLERANCE * np.abs(exact).max()
    assert (found.argmax(1) == exact.argmax(1)).all()
    assert len(set(exact.argmax(1))) > 1, "the pictures have different classes"
