"""The exact answer of a ResNet that `resnet_builder.py` wrote with batch norm folded, near enough: every operator in float64.

The weights are those of the file, float32, widened. No layer is rounded to float32 on the way.
"""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from numpy_layers import convolve, max_pool


def _attributes(node) -> dict:
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def _conv(attributes, x, weight, bias):
    stride, padding = attributes["strides"][0], attributes["pads"][0]
    return convolve(x, weight, stride, padding, attributes["group"]) + bias[:, None, None]


OPERATORS = {
    "Conv": _conv,
    "Relu": lambda attributes, x: np.maximum(x, 0),
    "MaxPool": lambda attributes, x: max_pool(x),
    "Add": lambda attributes, a, b: a + b,
    "GlobalAveragePool": lambda attributes, x: x.mean((2, 3), keepdims=True),
    "Flatten": lambda attributes, x: x.reshape(len(x), -1),
    "Gemm": lambda attributes, x, weight, bias: x @ weight.T + bias,
}


class Reference:
    """A ResNet in float64."""

    def __init__(self, path: Path):
        graph = onnx.load(path).graph
        self.nodes = graph.node
        self.weights = {item.name: numpy_helper.to_array(item).astype(np.float64) for item in graph.initializer}

    def logits(self, pictures: np.ndarray) -> np.ndarray:
        values = {**self.weights, "input": pictures.astype(np.float64)}
        for node in self.nodes:
            operator = OPERATORS[node.op_type]
            values[node.output[0]] = operator(_attributes(node), *(values[name] for name in node.input))
        return values["logits"]
