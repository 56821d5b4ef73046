"""Builds ResNets of any depth with random weights, as named tensors and as ONNX, for the tests.

Needs only numpy and onnx. The tensors go by torchvision's names. Batch-norm statistics are measured
on the way through the network and then shaken a little, and the classifier is scaled to what it
sees: so activations keep a sane range at any depth and logits differ from picture to picture.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from numpy_layers import convolve, max_pool, random_pictures

EPSILON = 1e-5
# Blocks of each stage, whether they are bottlenecks, how much wider than the stem the first stage's inner
# convolutions are, and the groups of the 3x3 convolution.
NETWORKS = {
    "resnet18": ((2, 2, 2, 2), False, 1, 1),
    "resnet34": ((3, 4, 6, 3), False, 1, 1),
    "resnet50": ((3, 4, 6, 3), True, 1, 1),
    "resnet101": ((3, 4, 23, 3), True, 1, 1),
    "resnet152": ((3, 8, 36, 3), True, 1, 1),
    "resnext50_32x4d": ((3, 4, 6, 3), True, 2, 32),
    "wide_resnet50_2": ((3, 4, 6, 3), True, 2, 1),
}


@dataclass(frozen=True)
class Architecture:
    blocks: tuple
    bottleneck: bool
    widths: tuple = (64, 128, 256, 512)
    classes: int = 1000
    groups: int = 1  # of the 3x3 convolution of a bottleneck; more than 1 makes a ResNeXt
    expansion: int = 4  # of a bottleneck
    stem: int | None = None  # channels; None: as many as the first stage's inner convolutions

    @staticmethod
    def named(network, width=64, classes=1000):
        """One of NETWORKS; `width` is the stem's channels."""
        blocks, bottleneck, widening, groups = NETWORKS[network]
        widths = tuple(width * widening << stage for stage in range(len(blocks)))
        return Architecture(blocks, bottleneck, widths, classes, groups, 4 // widening, width)


@dataclass(frozen=True)
class Conv:
    """A convolution and the batch norm after it."""

    name: str
    norm: str
    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    groups: int = 1
    closes_block: bool = False

    @property
    def padding(self):
        return self.kernel // 2


@dataclass(frozen=True)
class Block:
    name: str
    convs: tuple
    shortcut: Conv | None


def stem(architecture):
    return Conv("conv1", "bn1", 3, architecture.stem or architecture.widths[0], 7, 2)


def blocks(architecture):
    """The residual blocks in order."""
    inputs = stem(architecture).outputs
    for stage, (count, width) in enumerate(zip(architecture.blocks, architecture.widths)):
        for index in range(count):
            name = f"layer{stage + 1}.{index}"
            stride = 2 if stage > 0 and index == 0 else 1
            if architecture.bottleneck:
                outputs = width * architecture.expansion
                # The stride is on the 3x3 convolution ("v1.5"), as in torchvision and timm.
                shapes = [(inputs, width, 1, 1, 1), (width, width, 3, stride, architecture.groups),
                          (width, outputs, 1, 1, 1)]
            else:
                outputs = width
                shapes = [(inputs, width, 3, stride, 1), (width, width, 3, 1, 1)]
            convs = tuple(
                Conv(f"{name}.conv{n}", f"{name}.bn{n}", *shape, closes_block=n == len(shapes))
                for n, shape in enumerate(shapes, 1)
            )
            shortcut = None
            if stride != 1 or inputs != outputs:
                shortcut = Conv(f"{name}.downsample.0", f"{name}.downsample.1", inputs, outputs, 1, stride)
            yield Block(name, convs, shortcut)
            inputs = outputs


def _random_conv(rng, state, conv, x):
    """Adds the tensors of one convolution and its batch norm to `state`; gives its output for `x`."""
    fan_in = conv.inputs // conv.groups * conv.kernel**2
    shape = (conv.outputs, conv.inputs // conv.groups, conv.kernel, conv.kernel)
    weight = rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / fan_in))
    x = convolve(x, weight, conv.stride, conv.padding, conv.groups)
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3)) + 1e-3
    size = conv.outputs
    # A block adds to its shortcut: with small steps the sum does not grow with depth.
    low, high = (0.15, 0.45) if conv.closes_block else (0.6, 1.4)
    gamma = rng.uniform(low, high, size)
    gamma[rng.random(size) < 0.05] *= -1
    state[f"{conv.name}.weight"] = weight
    norm = {
        "weight": gamma,
        "bias": rng.uniform(-0.3, 0.3, size),
        "running_mean": mean + 0.1 * np.sqrt(variance) * rng.standard_normal(size),
        "running_var": variance * np.exp(0.1 * rng.standard_normal(size)),
    }
    norm = {key: value.astype(np.float32) for key, value in norm.items()}
    state.update({f"{conv.norm}.{key}": value for key, value in norm.items()})
    factor = norm["weight"] / np.sqrt(norm["running_var"] + EPSILON)
    offset = norm["bias"] - norm["running_mean"] * factor
    return x * factor[:, None, None] + offset[:, None, None]


def random_state(architecture, seed):
    """Random weights by torchvision's names; the same for the same seed."""
    return fitted_state(architecture, seed)[0]


def fitted_state(architecture, seed, pictures=None):
    """Random weights fitted to `pictures`, or to random ones, and the features that the classifier sees of them."""
    rng = np.random.default_rng(seed)
    state = {}
    if pictures is None:
        pictures = random_pictures(rng, 8, 64)
    x = np.maximum(_random_conv(rng, state, stem(architecture), pictures), 0)
    x = max_pool(x)
    for block in blocks(architecture):
        shortcut = x
        for conv in block.convs:
            x = _random_conv(rng, state, conv, x)
            if not conv.closes_block:
                x = np.maximum(x, 0)
        if block.shortcut:
            shortcut = _random_conv(rng, state, block.shortcut, shortcut)
        x = np.maximum(x + shortcut, 0)
    features = x.mean((2, 3))
    # Logits are to tell pictures apart, with a deviation near 1: what all features have in common
    # goes into the bias.
    spread = np.sqrt(features.var(0).sum())
    weight = rng.standard_normal((architecture.classes, features.shape[1])) / spread
    bias = 0.1 * rng.standard_normal(architecture.classes) - weight @ features.mean(0)
    state["fc.weight"], state["fc.bias"] = weight.astype(np.float32), bias.astype(np.float32)
    return state, features


class _Graph:
    def __init__(self, state, folded):
        self.state, self.folded = state, folded
        self.nodes, self.initializers = [], []

    def constant(self, name, value):
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op, name, inputs, **attributes):
        output = f"{name}.output"
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def conv(self, conv, x):
        weight = self.state[f"{conv.name}.weight"]
        gamma, beta, mean, variance = (
            self.state[f"{conv.norm}.{key}"] for key in ("weight", "bias", "running_mean", "running_var")
        )
        attributes = dict(
            kernel_shape=[conv.kernel] * 2, strides=[conv.stride] * 2, pads=[conv.padding] * 4,
            dilations=[1, 1], group=conv.groups,
        )
        if self.folded:
            factor = gamma / np.sqrt(variance + np.float32(EPSILON))
            inputs = [
                x, self.constant(f"{conv.name}.weight", weight * factor[:, None, None, None]),
                self.constant(f"{conv.name}.bias", beta - mean * factor),
            ]
            return self.node("Conv", conv.name, inputs, **attributes)
        x = self.node("Conv", conv.name, [x, self.constant(f"{conv.name}.weight", weight)], **attributes)
        values = zip(("weight", "bias", "running_mean", "running_var"), (gamma, beta, mean, variance))
        norm = [self.constant(f"{conv.norm}.{key}", value) for key, value in values]
        return self.node("BatchNormalization", conv.norm, [x, *norm], epsilon=EPSILON)


def onnx_model(architecture, state, folded, batch="batch", side=None):
    """The network as ONNX; `batch` and `side` are numbers, or names (None: 'height', 'width')."""
    graph = _Graph(state, folded)
    x = graph.conv(stem(architecture), "input")
    x = graph.node("Relu", "relu", [x])
    x = graph.node("MaxPool", "maxpool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for block in blocks(architecture):
        shortcut = x
        for number, conv in enumerate(block.convs, 1):
            x = graph.conv(conv, x)
            if not conv.closes_block:
                x = graph.node("Relu", f"{block.name}.relu{number}", [x])
        if block.shortcut:
            shortcut = graph.conv(block.shortcut, shortcut)
        x = graph.node("Add", f"{block.name}.add", [x, shortcut])
        x = graph.node("Relu", f"{block.name}.relu", [x])
    x = graph.node("GlobalAveragePool", "avgpool", [x])
    x = graph.node("Flatten", "flatten", [x], axis=1)
    inputs = [x, graph.constant("fc.weight", state["fc.weight"]), graph.constant("fc.bias", state["fc.bias"])]
    graph.nodes.append(helper.make_node("Gemm", inputs, ["logits"], "fc", transB=1))

    height, width = ("height", "width") if side is None else (side, side)
    described = helper.make_graph(
        graph.nodes, "resnet",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, height, width])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, architecture.classes])],
        graph.initializers,
    )
    model = helper.make_model(
        described, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="libvision-tests"
    )
    onnx.checker.check_model(model)
    return model
