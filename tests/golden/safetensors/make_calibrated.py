"""Writes a narrow ResNet-50 with random filters, whose batch norms and classifier are fitted to the shipped pictures.

A random classifier tells pictures apart by chance, some of them by next to nothing, which makes it a
poor measure of what half precision costs. This one names what the pictures show, as a trained one
does. Needs numpy, onnx, Pillow and safetensors.
"""

import pathlib
import sys

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from resnet_builder import Architecture, fitted_state  # noqa: E402

PICTURES = FOLDER.parents[2] / "examples/model/pictures"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Of the ridge regression, as a part of the features' total variance; about as small as still smooths.
PENALTY = 1e-3
# Of the logit of the right class above the others.
MARGIN = 10


def network_input(path):
    """Shorter side to 256, the middle 224 x 224, normalised: what torchvision's weights expect."""
    picture = Image.open(path).convert("RGB")
    scale = 256 / min(picture.size)
    picture = picture.resize([round(side * scale) for side in picture.size], Image.Resampling.BILINEAR)
    left, top = ((side - 224) // 2 for side in picture.size)
    pixels = np.asarray(picture.crop((left, top, left + 224, top + 224)), np.float32) / 255
    return ((pixels - MEAN) / DEVIATION).transpose(2, 0, 1).astype(np.float32)


def classifier(features, labels):
    """Weights and bias that give each row of `features` the logits of its label, by ridge regression."""
    targets = MARGIN * (np.eye(labels.max() + 1)[labels] - 1 / (labels.max() + 1))
    centre = features.mean(0)
    covariance = np.cov(features.T, bias=True)
    penalty = PENALTY * np.trace(covariance) * np.eye(len(covariance))
    weight = np.linalg.solve(covariance + penalty, (features - centre).T @ targets / len(features)).T
    return weight, targets.mean(0) - weight @ centre


def main():
    paths = sorted(PICTURES.iterdir())
    names, labels = np.unique([path.stem.split("_", 1)[1] for path in paths], return_inverse=True)
    pictures = np.stack([network_input(path) for path in paths])
    state, features = fitted_state(Architecture.named("resnet50", 4, len(names)), 50, pictures)
    state["fc.weight"], state["fc.bias"] = classifier(features, labels)
    right = (features @ state["fc.weight"].T + state["fc.bias"]).argmax(1) == labels
    print(f"{right.sum()} of {len(paths)} pictures named right")
    save_file({name: value.astype(np.float32) for name, value in state.items()},
              FOLDER / "resnet50_calibrated.torchvision.safetensors")


if __name__ == "__main__":
    main()
