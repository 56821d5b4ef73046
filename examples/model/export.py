"""Writes the trained network as a model directory: safetensors, ONNX, configuration and labels.

Both weight files hold the same numbers, rounded to half precision first, so that expected answers
made from one hold for the other.
"""

import argparse
import json
import pathlib
import warnings

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file, save_file

from classes import CLASSES, LABELS
from network import WIDTHS, SlimResNet
from preprocess import CROP, MEAN, SHORTER_SIDE, STD

FOLDER = pathlib.Path(__file__).parent


def configuration():
    """As timm writes it, so that a reader of timm's directories needs no special case."""
    return {
        "architecture": "resnet",
        "num_classes": len(LABELS),
        "num_features": WIDTHS[-1],
        "global_pool": "avg",
        "label_names": LABELS,
        "pretrained_cfg": {
            "input_size": [3, CROP, CROP],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": CROP / SHORTER_SIDE,
            "crop_mode": "center",
            "mean": MEAN,
            "std": STD,
            "num_classes": len(LABELS),
            "pool_size": [4, 4],
            "first_conv": "conv1",
            "classifier": "fc",
        },
    }


def check(folder):
    """The two weight files must be one network."""
    network = SlimResNet(len(CLASSES))
    state = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    network.load_state_dict(state, strict=False)
    network.eval()
    pictures = np.random.default_rng(0).standard_normal((16, 3, CROP, CROP), np.float32)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.no_grad():
        difference = np.abs(session.run(None, {"input": pictures})[0] - network(torch.from_numpy(pictures)).numpy())
    assert difference.max() < 1e-3, difference.max()
    print(f"largest difference between the files' logits: {difference.max():.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--folder", type=pathlib.Path, default=FOLDER)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    folder = arguments.folder

    exported = torch.load(arguments.checkpoint, weights_only=True)["exported"]
    rounded = {
        name: value.half().contiguous() for name, value in exported.items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(rounded, folder / "model.safetensors", {"format": "pt"})
    (folder / "model.safetensors").chmod(0o644)
    network = SlimResNet(len(CLASSES))
    network.load_state_dict({name: value.float() for name, value in rounded.items()}, strict=False)
    torch.onnx.export(
        network.eval(), (torch.zeros(1, 3, CROP, CROP),), str(folder / "model.onnx"),
        dynamo=False, opset_version=17, input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}},
    )
    (folder / "config.json").write_text(json.dumps(configuration(), indent=2) + "\n")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    check(folder)


if __name__ == "__main__":
    main()
