"""EfficientNet-B0 (Tan and Le 2019, table 1), with torchvision's names."""

import onnx

from .tracer import Tracer, Value

# Expansion, kernel, stride of the first block, output channels, blocks.
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def _squeeze_excitation(net: Tracer, name: str, x: Value, squeezed: int) -> Value:
    scale = net.average(f"{name}.avgpool", x)
    scale = net.silu(f"{name}.silu", net.conv_bias(f"{name}.fc1", scale, squeezed))
    scale = net.sigmoid(f"{name}.sigmoid", net.conv_bias(f"{name}.fc2", scale, x.channels))
    return net.multiply(f"{name}.mul", scale, x)


def _block(net: Tracer, name: str, x: Value, expansion: int, kernel: int, stride: int, outputs: int) -> Value:
    shortcut, hidden = x, x.channels * expansion
    if expansion != 1:
        x = net.silu(f"{name}.expand.silu", net.conv_norm(f"{name}.expand", x, hidden))
    x = net.conv_norm(f"{name}.depthwise", x, hidden, kernel, stride, groups=hidden)
    x = net.silu(f"{name}.depthwise.silu", x)
    x = _squeeze_excitation(net, f"{name}.se", x, max(1, shortcut.channels // 4))
    adds = stride == 1 and shortcut.channels == outputs
    # Where blocks add up, small steps keep the sum from growing with depth.
    x = net.conv_norm(f"{name}.project", x, outputs, step=0.3 if adds else 1.0)
    return net.add(f"{name}.add", x, shortcut) if adds else x


def build(seed: int) -> onnx.ModelProto:
    net = Tracer("efficientnet_b0", seed)
    x = net.silu("features.0.silu", net.conv_norm("features.0", net.input, 32, kernel=3, stride=2))
    for stage, (expansion, kernel, stride, outputs, count) in enumerate(STAGES, 1):
        for index in range(count):
            first_stride = 1 if index else stride
            x = _block(net, f"features.{stage}.{index}", x, expansion, kernel, first_stride, outputs)
    x = net.silu("features.8.silu", net.conv_norm("features.8", x, 1280))
    return net.finish("classifier.1", net.average("avgpool", x))
