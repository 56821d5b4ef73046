"""Traces a network once: each call adds a layer to an ONNX graph and runs it in numpy on sample pictures.

Convolutions get seeded random weights whose batch norm, fitted to the samples and shaken a little, is
already folded in. So activations keep a sane range at any depth, as in a trained network.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests/golden"))
from numpy_layers import convolve, convolve_depthwise, random_pictures  # noqa: E402


@dataclass(frozen=True)
class Value:
    """A tensor of the graph and what it holds for the samples."""

    name: str
    sample: np.ndarray

    @property
    def channels(self) -> int:
        return self.sample.shape[1]


class Tracer:
    """A picture classifier in the making, from `input` [batch, 3, side, side] to `logits` [batch, classes]."""

    def __init__(self, name: str, seed: int, side: int = 224):
        self.name, self.side = name, side
        self.rng = np.random.default_rng(seed)
        self.nodes, self.initializers = [], []
        self.input = Value("input", random_pictures(self.rng, 32, side))

    def _constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name))
        return name

    def _node(self, op: str, name: str, inputs: list[str], sample: np.ndarray, **attributes) -> Value:
        output = f"{name}.output"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return Value(output, sample)

    def _weight(self, x: Value, outputs: int, kernel: int, groups: int) -> np.ndarray:
        fan_in = x.channels // groups * kernel**2
        shape = (outputs, x.channels // groups, kernel, kernel)
        return self.rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))

    def _conv(self, name, x, weight, bias, sample, stride, groups) -> Value:
        kernel = weight.shape[2]
        inputs = [x.name, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
        return self._node(
            "Conv", name, inputs, sample, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[kernel // 2] * 4, dilations=[1, 1], group=groups,
        )

    def conv_norm(self, name: str, x: Value, outputs: int, kernel=1, stride=1, groups=1, step=1.0) -> Value:
        """A convolution with its batch norm folded in; `step` scales its output's deviation."""
        weight = self._weight(x, outputs, kernel, groups)
        if groups == x.channels:
            sample = convolve_depthwise(x.sample, weight, stride, kernel // 2)
        else:
            sample = convolve(x.sample, weight, stride, kernel // 2, groups)
        deviation = np.sqrt(sample.var((0, 2, 3)) + 1e-3)
        mean = sample.mean((0, 2, 3)) + 0.1 * deviation * self.rng.standard_normal(outputs)
        factor = step * self.rng.uniform(0.6, 1.4, outputs) / deviation
        offset = self.rng.uniform(-0.3, 0.3, outputs) - mean * factor
        sample = (sample * factor[:, None, None] + offset[:, None, None]).astype(np.float32)
        return self._conv(name, x, weight * factor[:, None, None, None], offset, sample, stride, groups)

    def conv_bias(self, name: str, x: Value, outputs: int) -> Value:
        """A 1x1 convolution with a small bias, without batch norm."""
        weight, bias = self._weight(x, outputs, 1, 1), 0.1 * self.rng.standard_normal(outputs)
        sample = convolve(x.sample, weight, 1, 0) + bias[:, None, None]
        return self._conv(name, x, weight, bias, sample.astype(np.float32), 1, 1)

    def relu6(self, name: str, x: Value) -> Value:
        bounds = [self._constant(f"{name}.min", np.float32(0)), self._constant(f"{name}.max", np.float32(6))]
        return self._node("Clip", name, [x.name, *bounds], x.sample.clip(0, 6))

    def sigmoid(self, name: str, x: Value) -> Value:
        return self._node("Sigmoid", name, [x.name], 1 / (1 + np.exp(-x.sample)))

    def silu(self, name: str, x: Value) -> Value:
        return self.multiply(name, x, self.sigmoid(f"{name}.sigmoid", x))

    def add(self, name: str, a: Value, b: Value) -> Value:
        return self._node("Add", name, [a.name, b.name], a.sample + b.sample)

    def multiply(self, name: str, a: Value, b: Value) -> Value:
        return self._node("Mul", name, [a.name, b.name], a.sample * b.sample)

    def average(self, name: str, x: Value) -> Value:
        """The mean over height and width."""
        return self._node("GlobalAveragePool", name, [x.name], x.sample.mean((2, 3), keepdims=True))

    def finish(self, name: str, x: Value, classes: int = 1000) -> onnx.ModelProto:
        """Adds the classifier over `x` [batch, channels, 1, 1] and gives the model."""
        features = x.sample.reshape(len(x.sample), -1)
        x = self._node("Flatten", "flatten", [x.name], features, axis=1)
        # Logits are to tell pictures apart: what all features have in common goes into the bias.
        weight = self.rng.standard_normal((classes, x.channels)) / np.sqrt(features.var(0).sum())
        bias = 0.1 * self.rng.standard_normal(classes) - weight @ features.mean(0)
        inputs = [x.name, self._constant(f"{name}.weight", weight), self._constant(f"{name}.bias", bias)]
        self.nodes.append(helper.make_node("Gemm", inputs, ["logits"], name, transB=1))
        graph = helper.make_graph(
            self.nodes, self.name,
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, self.side, self.side])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
            self.initializers,
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="libvision-benches"
        )
        onnx.checker.check_model(model)
        return model
