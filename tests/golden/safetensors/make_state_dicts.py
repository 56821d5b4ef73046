"""Writes narrow ResNets of all five depths, a ResNeXt and a Wide ResNet as safetensors, under each naming, and
their logits.

Needs numpy, onnx, onnxruntime and safetensors. The logits come from onnxruntime on an ONNX file of
the same network and the same, possibly rounded, weights.
"""

import pathlib
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from numpy_layers import random_pictures  # noqa: E402
from resnet_builder import Architecture, onnx_model, random_state  # noqa: E402
from tensor_names import hugging_face_name, with_batch_counts  # noqa: E402

WIDTH = 4
CLASSES = 10
# An odd size on the way down: 40, 20, 10, 5, 3, 2.
SIDE = 40
# Half precision keeps the larger ones small, and is how some people store them.
DTYPES = {
    "resnet18": np.float32,
    "resnet34": np.float16,
    "resnet50": np.float32,
    "resnet101": np.float16,
    "resnet152": np.float16,
    "resnext50_32x4d": np.float16,
    "wide_resnet50_2": np.float16,
}
# timm's names are torchvision's, so some are enough there.
TIMM = ("resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2")
ONNX = ("resnet18", "resnet50")
# Hugging Face's ResNet has neither groups nor wide bottlenecks.
HUGGING_FACE = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")


def narrow(network):
    architecture = Architecture.named(network, WIDTH, CLASSES)
    # As many channels a group as in the real one.
    return replace(architecture, groups=architecture.widths[0] // 4) if architecture.groups > 1 else architecture


def run(model, pictures):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"input": pictures})[0]


def main():
    pictures = random_pictures(np.random.default_rng(99), 2, SIDE)
    expected = {"input": pictures}
    for network, dtype in DTYPES.items():
        architecture = narrow(network)
        seed = int("".join(filter(str.isdigit, network)))
        state = {name: value.astype(dtype) for name, value in random_state(architecture, seed).items()}
        save_file(state, FOLDER / f"{network}.torchvision.safetensors")
        counted = with_batch_counts(state)
        metadata = {"format": "pt"}
        if network in TIMM:
            save_file(counted, FOLDER / f"{network}.timm.safetensors", metadata)
        if network in HUGGING_FACE:
            renamed = {hugging_face_name(name): value for name, value in counted.items()}
            save_file(renamed, FOLDER / f"{network}.hugging_face.safetensors", metadata)

        rounded = {name: value.astype(np.float32) for name, value in state.items()}
        model = onnx_model(architecture, rounded, folded=False)
        if network in ONNX:
            onnx.save(model, FOLDER / f"{network}.onnx")
        expected[f"{network}.logits"] = run(model, pictures)
    save_file(expected, FOLDER / "expected.safetensors")
    for name, value in expected.items():
        print(name, value.shape, f"deviation {value.std():.3f}", "" if name == "input" else value.argmax(1))


if __name__ == "__main__":
    main()
