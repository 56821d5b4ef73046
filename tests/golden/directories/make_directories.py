"""Writes model directories as people have them on disk, with what Pillow and onnxruntime make of them.

Needs numpy, Pillow, onnx, onnxruntime and safetensors. One directory for each convention: timm,
Hugging Face with one label a picture, Hugging Face with many (sigmoid), torchvision.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np
import onnxruntime
from PIL import Image
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from resnet_builder import Architecture, onnx_model, random_state  # noqa: E402
from tensor_names import hugging_face_name, with_batch_counts  # noqa: E402

PICTURES = {"wide.png": (97, 61), "tall.png": (75, 131), "small.png": (53, 50)}
LABELS = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SAMPLES = 200


def draw_picture(size, seed):
    """Smooth colours with some discs on them: something for each filter to get wrong."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
    pixels = np.array(coarse.resize(size, Image.Resampling.BICUBIC))
    y, x = np.mgrid[: size[1], : size[0]]
    for _ in range(14):
        cx, cy, radius = rng.uniform(0, size[0]), rng.uniform(0, size[1]), rng.uniform(2, 14)
        pixels[(x - cx) ** 2 + (y - cy) ** 2 < radius**2] = rng.integers(0, 256, 3)
    return Image.fromarray(pixels)


def crop_of(image, shorter_side, crop, resample, offset):
    """Shorter side to `shorter_side`, then the centre; `offset` gives the first row or column."""
    width, height = image.size
    if width <= height:
        size = (shorter_side, int(shorter_side * height / width))
    else:
        size = (int(shorter_side * width / height), shorter_side)
    image = image.resize(size, resample)
    left, top = (offset(side - crop) for side in size)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))


def torchvision_offset(excess):
    return int(round(excess / 2.0))


def hugging_face_offset(excess):
    return excess // 2


def expected_of(name, model, geometry, mean, std, sigmoid=False):
    """Tensor and scores for each picture, written to `expected.json` and `expected.safetensors`."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    answers, tensors = [], {}
    for file in PICTURES:
        pixels = crop_of(Image.open(FOLDER / "pictures" / file).convert("RGB"), **geometry)
        values = (pixels.astype(np.float32) / 255 - np.float32(mean)) / np.float32(std)
        tensor = np.ascontiguousarray(values.transpose(2, 0, 1))
        logits = session.run(None, {"input": tensor[None]})[0][0]
        if sigmoid:
            scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        else:
            scores = np.exp(logits.astype(np.float64) - logits.max())
            scores /= scores.sum()
        places = np.random.default_rng(3).choice(tensor.size, SAMPLES, replace=False)
        answer = {
            "picture": f"../pictures/{file}",
            "shape": list(tensor.shape),
            # Of the bytes after resize and crop, row by row, RGB.
            "crop_sha256": hashlib.sha256(pixels.tobytes()).hexdigest(),
            # Places in the tensor, laid out channel, row, column, and the values there.
            "samples": [[int(place), float(tensor.flat[place])] for place in sorted(places)],
            "logits": logits.tolist(),
            "scores": scores.tolist(),
        }
        if geometry["offset"] is hugging_face_offset:
            geometry_tv = geometry | {"offset": torchvision_offset}
            other = crop_of(Image.open(FOLDER / "pictures" / file).convert("RGB"), **geometry_tv)
            answer["same_with_torchvision_offset"] = bool(np.array_equal(pixels, other))
        answers.append(answer)
        if tensor.shape[1] <= 64 and not tensors:
            tensors["input"], tensors["logits"] = tensor, logits
    with open(FOLDER / name / "expected.json", "w") as file:
        json.dump(answers, file, indent=1)
        file.write("\n")
    if tensors:
        # For the first picture, whole.
        save_file(tensors, FOLDER / name / "expected.safetensors")
    print(name, [LABELS[int(np.argmax(answer["logits"]))] for answer in answers],
          [answer.get("same_with_torchvision_offset") for answer in answers])


def write_json(name, file, value):
    with open(FOLDER / name / file, "w") as out:
        json.dump(value, out, indent=2)
        out.write("\n")


def make(name, depth, seed, rename=lambda key: key, metadata=None):
    (FOLDER / name).mkdir(exist_ok=True)
    architecture = Architecture.named(f"resnet{depth}", 4, len(LABELS))
    state = random_state(architecture, seed)
    stored = with_batch_counts(state) if metadata else state
    stored = {rename(key): value for key, value in stored.items()}
    save_file(stored, FOLDER / name / "model.safetensors", metadata)
    return onnx_model(architecture, state, folded=False)


def make_timm():
    model = make("timm", 18, 1, metadata={"format": "pt"})
    mean, std = (0.5, 0.45, 0.4), (0.5, 0.25, 0.3)
    write_json("timm", "config.json", {
        "architecture": "resnet18",
        "num_classes": len(LABELS),
        "num_features": 32,
        "global_pool": "avg",
        "label_names": LABELS,
        "pretrained_cfg": {
            "tag": "test", "custom_load": False, "input_size": [3, 64, 64], "test_input_size": [3, 80, 80],
            "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.95, "test_crop_pct": 1.0,
            "crop_mode": "center", "mean": mean, "std": std, "num_classes": len(LABELS),
            "pool_size": [2, 2], "first_conv": "conv1", "classifier": "fc",
        },
    })
    geometry = dict(shorter_side=67, crop=64, resample=Image.Resampling.BICUBIC, offset=torchvision_offset)
    expected_of("timm", model, geometry, mean, std)


def hugging_face_config(depth, layer_type, problem_type=None):
    blocks, hidden = {18: ((2, 2, 2, 2), (4, 8, 16, 32)), 50: ((3, 4, 6, 3), (16, 32, 64, 128))}[depth]
    config = {
        "architectures": ["ResNetForImageClassification"], "model_type": "resnet",
        "depths": blocks, "embedding_size": 4, "hidden_sizes": hidden, "layer_type": layer_type,
        "hidden_act": "relu", "num_channels": 3, "downsample_in_first_stage": False,
        "downsample_in_bottleneck": False,
        "id2label": {str(index): label for index, label in enumerate(LABELS)},
        "label2id": {label: index for index, label in enumerate(LABELS)},
        "torch_dtype": "float32", "transformers_version": "4.52.0",
    }
    return config | ({"problem_type": problem_type} if problem_type else {})


def make_hugging_face():
    name = "hugging_face"
    model = make(name, 50, 2, hugging_face_name, {"format": "pt"})
    write_json(name, "config.json", hugging_face_config(50, "bottleneck"))
    write_json(name, "preprocessor_config.json", {
        "crop_pct": 0.875, "do_normalize": True, "do_rescale": True, "do_resize": True,
        "image_mean": IMAGENET_MEAN, "image_processor_type": "ConvNextImageProcessor",
        "image_std": IMAGENET_STD, "resample": 3, "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": 64},
    })
    # Below 384 pixels this processor resizes to int(64 / 0.875) and cuts out the centre.
    geometry = dict(shorter_side=73, crop=64, resample=Image.Resampling.BICUBIC, offset=hugging_face_offset)
    expected_of(name, model, geometry, IMAGENET_MEAN, IMAGENET_STD)


def make_multi_label():
    """Also in the older spelling of the processor: a feature extractor whose size is a number."""
    name = "hugging_face_multi_label"
    model = make(name, 18, 3, hugging_face_name, {"format": "pt"})
    write_json(name, "config.json", hugging_face_config(18, "basic", "multi_label_classification"))
    write_json(name, "preprocessor_config.json", {
        "crop_pct": 0.8, "do_normalize": True, "do_resize": True,
        "feature_extractor_type": "ConvNextFeatureExtractor",
        "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": 48,
    })
    geometry = dict(shorter_side=60, crop=48, resample=Image.Resampling.BILINEAR, offset=hugging_face_offset)
    expected_of(name, model, geometry, (0.5,) * 3, (0.5,) * 3, sigmoid=True)


def make_torchvision():
    name = "torchvision"
    model = make(name, 34, 4)
    (FOLDER / name / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS))
    geometry = dict(shorter_side=256, crop=224, resample=Image.Resampling.BILINEAR, offset=torchvision_offset)
    expected_of(name, model, geometry, IMAGENET_MEAN, IMAGENET_STD)


if __name__ == "__main__":
    (FOLDER / "pictures").mkdir(exist_ok=True)
    for seed, (file, size) in enumerate(PICTURES.items()):
        draw_picture(size, seed).save(FOLDER / "pictures" / file)
    make_timm()
    make_hugging_face()
    make_multi_label()
    make_torchvision()
