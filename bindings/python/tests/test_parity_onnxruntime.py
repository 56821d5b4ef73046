"""The logits of full-size ResNets are those of ONNX Runtime."""

import subprocess
import sys

import libvision
import numpy as np
import onnxruntime
import pytest

# The largest difference, as a part of the largest logit.
TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["folded", "separate"])
def batch_norm(request):
    return request.param


@pytest.fixture(scope="module", params=["resnet18", "resnet50"])
def networks(request, batch_norm, root, tmp_path_factory):
    """One network in both runtimes, and its input's name."""
    folder = tmp_path_factory.mktemp("resnets")
    script = root / "tests/golden/make_resnets.py"
    options = ["--network", request.param, "--batch-norm", batch_norm]
    subprocess.run([sys.executable, script, folder, *options], check=True, capture_output=True)
    (path,) = folder.iterdir()
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with libvision.Engine(path, max_batch_size=3) as engine:
        yield engine, session, session.get_inputs()[0].name
    path.unlink()


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_logits(networks, batch, seed):
    engine, session, name = networks
    array = np.random.default_rng(seed).standard_normal((batch, 3, 224, 224), np.float32)
    ours = engine.run({name: array})["logits"]
    (theirs,) = session.run(None, {name: array})
    assert ours.shape == theirs.shape == (batch, 1000)
    assert np.abs(ours - theirs).max() <= TOLERANCE * np.abs(theirs).max()


def test_a_picture_in_a_batch_gets_the_bits_it_gets_alone(networks):
    engine, _, name = networks
    array = np.random.default_rng(2).standard_normal((3, 3, 224, 224), np.float32)
    together = engine.run({name: array})["logits"]
    alone = np.concatenate([engine.run({name: array[i : i + 1]})["logits"] for i in range(3)])
    assert np.array_equal(together, alone)
