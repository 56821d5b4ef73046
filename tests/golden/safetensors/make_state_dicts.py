"""Writes narrow ResNets of all five depths as safetensors, under each naming, and their logits.

Needs numpy, onnx, onnxruntime and safetensors. The logits come from onnxruntime on an ONNX file of
the same network and the same, possibly rounded, weights.
"""

import pathlib
import sys

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
# Half precision keeps the deeper ones small, and is how some people store them.
DTYPES = {18: np.float32, 34: np.float16, 50: np.float32, 101: np.float16, 152: np.float16}
# timm's names are torchvision's, so two depths are enough there.
TIMM = (18, 50)
ONNX = (18, 50)


def run(model, pictures):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"input": pictures})[0]


def main():
    pictures = random_pictures(np.random.default_rng(99), 2, SIDE)
    expected = {"input": pictures}
    for depth, dtype in DTYPES.items():
        architecture = Architecture.named(f"resnet{depth}", WIDTH, CLASSES)
        state = {name: value.astype(dtype) for name, value in random_state(architecture, depth).items()}
        save_file(state, FOLDER / f"resnet{depth}.torchvision.safetensors")
        counted = with_batch_counts(state)
        metadata = {"format": "pt"}
        if depth in TIMM:
            save_file(counted, FOLDER / f"resnet{depth}.timm.safetensors", metadata)
        renamed = {hugging_face_name(name): value for name, value in counted.items()}
        save_file(renamed, FOLDER / f"resnet{depth}.hugging_face.safetensors", metadata)

        rounded = {name: value.astype(np.float32) for name, value in state.items()}
        model = onnx_model(architecture, rounded, folded=False)
        if depth in ONNX:
            onnx.save(model, FOLDER / f"resnet{depth}.onnx")
        expected[f"resnet{depth}.logits"] = run(model, pictures)
    save_file(expected, FOLDER / "expected.safetensors")
    for name, value in expected.items():
        print(name, value.shape, f"deviation {value.std():.3f}", "" if name == "input" else value.argmax(1))


if __name__ == "__main__":
    main()
