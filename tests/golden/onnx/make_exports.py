"""Exports tiny ResNets with both of PyTorch's ONNX exporters, and what onnxruntime makes of them.

Needs torch, onnx, onnxscript, onnxruntime, numpy and safetensors. Each network goes out with its
batch norms folded into the convolutions and kept, for a batch of one and for any. "raw" is what the newer
exporter writes with its optimizer off: batch-norm weights reach their node through Shape, CastLike
and Expand.
"""

import json
import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import onnxscript
import torch
from safetensors.numpy import save_file
from torch import nn

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from numpy_layers import random_pictures  # noqa: E402
from resnet_builder import Architecture, blocks, random_state, stem  # noqa: E402

SIDE = 32
ARCHITECTURES = {
    "basic": Architecture((1, 1, 1, 1), False, (8, 12, 16, 24), 10),
    "bottleneck": Architecture((1, 1, 1, 1), True, (4, 6, 8, 12), 10),
}


def conv(shape):
    return nn.Conv2d(
        shape.inputs, shape.outputs, shape.kernel, shape.stride, shape.padding,
        groups=shape.groups, bias=False,
    )


class TorchBlock(nn.Module):
    """Under torchvision's names and, like torchvision, calling functions in the forward order."""

    def __init__(self, block):
        super().__init__()
        self.count = len(block.convs)
        for number, shape in enumerate(block.convs, 1):
            self.add_module(f"conv{number}", conv(shape))
            self.add_module(f"bn{number}", nn.BatchNorm2d(shape.outputs))
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if block.shortcut:
            self.downsample = nn.Sequential(conv(block.shortcut), nn.BatchNorm2d(block.shortcut.outputs))

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        for number in range(1, self.count + 1):
            x = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(x))
            if number < self.count:
                x = self.relu(x)
        x += identity
        return self.relu(x)


class TorchResNet(nn.Module):
    def __init__(self, architecture, state):
        super().__init__()
        first = stem(architecture)
        self.conv1, self.bn1 = conv(first), nn.BatchNorm2d(first.outputs)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        stages = {}
        for block in blocks(architecture):
            stages.setdefault(block.name.split(".")[0], []).append(TorchBlock(block))
        for name, modules in stages.items():
            self.add_module(name, nn.Sequential(*modules))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(state["fc.weight"].shape[1], architecture.classes)
        missing = self.load_state_dict({k: torch.from_numpy(v) for k, v in state.items()}, strict=False)
        assert not missing.unexpected_keys
        assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def export_torchscript(network, path, norm, dynamic):
    # In evaluation mode this exporter folds batch norm by itself; asking it to preserve the mode
    # and not to fold constants keeps the nodes.
    folded = norm == "folded"
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    torch.onnx.export(
        network, (torch.zeros(1, 3, SIDE, SIDE),), path, dynamo=False, opset_version=17,
        input_names=["input"], output_names=["logits"], training=mode, do_constant_folding=folded,
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}} if dynamic else None,
    )


def export_dynamo(network, path, norm, dynamic):
    # A dynamic batch is traced with two pictures: one would be taken for a constant.
    program = torch.onnx.export(
        network, (torch.zeros(2 if dynamic else 1, 3, SIDE, SIDE),), dynamo=True,
        input_names=["input"], output_names=["logits"], optimize=norm == "folded",
        dynamic_shapes=({0: torch.export.Dim("batch")},) if dynamic else None, verbose=False,
    )
    if norm == "separate":
        # The exporter's whole optimization would fuse the batch norms; this is the other half of it.
        onnxscript.optimizer.fold_constants(program.model)
        onnxscript.optimizer.remove_unused_nodes(program.model)
    for node in program.model.graph:
        # Paths and source lines of this script, in each node.
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)
    program.save(path, external_data=False)


EXPORTERS = {"torchscript": export_torchscript, "dynamo": export_dynamo}


def combinations():
    for kind in ARCHITECTURES:
        for exporter in EXPORTERS:
            for norm in ("folded", "separate"):
                for batch in ("fixed", "dynamic"):
                    yield kind, exporter, norm, batch
    yield "basic", "dynamo", "raw", "fixed"
    yield "basic", "dynamo", "raw", "dynamic"


def main():
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    tensors = {"input": random_pictures(np.random.default_rng(42), 2, SIDE)}
    cases = []
    for kind, exporter, norm, batch in combinations():
        architecture = ARCHITECTURES[kind]
        network = TorchResNet(architecture, random_state(architecture, 11)).eval()
        name = f"{kind}_{exporter}_{norm}_{batch}"
        path = FOLDER / f"{name}.onnx"
        EXPORTERS[exporter](network, str(path), norm, batch == "dynamic")
        pictures = tensors["input"][: 2 if batch == "dynamic" else 1]
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        logits = session.run(None, {"input": pictures})[0]
        with torch.no_grad():
            reference = network(torch.from_numpy(pictures)).numpy()
        assert np.abs(logits - reference).max() < 1e-4
        tensors[f"{name}.logits"] = logits
        model = onnx.load(path)
        ops = [node.op_type for node in model.graph.node]
        cases.append({
            "file": path.name, "exporter": exporter, "batch_norm": norm, "batch": batch,
            "opset": next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
            "ir_version": model.ir_version,
            "nodes": {op: ops.count(op) for op in sorted(set(ops))},
            "logits": f"{name}.logits",
        })
        print(name, path.stat().st_size, cases[-1]["opset"], cases[-1]["nodes"])
    save_file(tensors, FOLDER / "expected.safetensors")
    (FOLDER / "expected.json").write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
