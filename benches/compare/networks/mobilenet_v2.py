"""MobileNet-V2 (Sandler et al. 2018, table 2), with torchvision's names."""

import onnx

from .tracer import Tracer, Value

# Expansion, output channels, blocks, stride of the first.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


def _inverted_residual(net: Tracer, name: str, x: Value, expansion: int, outputs: int, stride: int) -> Value:
    shortcut, hidden = x, x.channels * expansion
    if expansion != 1:
        x = net.relu6(f"{name}.expand.relu", net.conv_norm(f"{name}.expand", x, hidden))
    x = net.conv_norm(f"{name}.depthwise", x, hidden, kernel=3, stride=stride, groups=hidden)
    x = net.relu6(f"{name}.depthwise.relu", x)
    adds = stride == 1 and shortcut.channels == outputs
    # Where blocks add up, small steps keep the sum from growing with depth.
    x = net.conv_norm(f"{name}.project", x, outputs, step=0.3 if adds else 1.0)
    return net.add(f"{name}.add", x, shortcut) if adds else x


def build(seed: int) -> onnx.ModelProto:
    net = Tracer("mobilenet_v2", seed)
    x = net.relu6("features.0.relu", net.conv_norm("features.0", net.input, 32, kernel=3, stride=2))
    index = 1
    for expansion, outputs, count, stride in STAGES:
        for block in range(count):
            x = _inverted_residual(net, f"features.{index}", x, expansion, outputs, 1 if block else stride)
            index += 1
    x = net.relu6(f"features.{index}.relu", net.conv_norm(f"features.{index}", x, 1280))
    return net.finish("classifier.1", net.average("avgpool", x))
