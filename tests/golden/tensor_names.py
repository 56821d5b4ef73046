"""Turns tensors under torchvision's names into what timm's and Hugging Face's files hold."""

import re

import numpy as np

_NORM_PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def hugging_face_name(name):
    if name.startswith("fc."):
        # The classifier is a sequence of flatten and linear.
        return name.replace("fc.", "classifier.1.")
    prefix = "resnet."
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(.*)", name)
    if match:
        stage, layer, name = int(match[1]) - 1, match[2], match[3]
        prefix += f"encoder.stages.{stage}.layers.{layer}."
    else:
        prefix += "embedder.embedder."
    part = name.rsplit(".", 1)[1]
    if shortcut := re.match(r"downsample\.([01])\.", name):
        return f"{prefix}shortcut.{('convolution', 'normalization')[int(shortcut[1])]}.{part}"
    kind, number = re.match(r"(conv|bn)(\d)\.", name).groups()
    kind = {"conv": "convolution", "bn": "normalization"}[kind]
    assert part in _NORM_PARTS
    return f"{prefix}{kind}.{part}" if not match else f"{prefix}layer.{int(number) - 1}.{kind}.{part}"


def with_batch_counts(state):
    """Adds the scalar counters of training, which timm's and Hugging Face's files carry along."""
    counts = {
        name.replace("running_mean", "num_batches_tracked"): np.array(1000, np.int64)
        for name in state if name.endswith("running_mean")
    }
    return state | counts
