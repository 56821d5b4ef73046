"""The networks that the comparison measures, with seeded random weights, as ONNX."""

import onnx

from . import efficientnet_b0, mobilenet_v2, tracer  # noqa: F401  (tracer makes the tests' builders importable)
from resnet_builder import Architecture, onnx_model, random_state

NAMES = ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2", "mobilenet_v2", "efficientnet_b0")


def build(name: str, seed: int = 0) -> onnx.ModelProto:
    """`input` [batch, 3, 224, 224] to `logits` [batch, 1000]; batch norm folded, any batch."""
    if name == "mobilenet_v2":
        return mobilenet_v2.build(seed)
    if name == "efficientnet_b0":
        return efficientnet_b0.build(seed)
    architecture = Architecture.named(name)
    return onnx_model(architecture, random_state(architecture, seed), folded=True, side=224)
