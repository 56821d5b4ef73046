"""Converts an ONNX network for the peers that do not read ONNX, once: pnnx for ncnn, MNN's converter for MNN."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# MNN's own command line reports what it converted over the network; the extension beneath it does not.
MNN_CONVERT = "import sys, _tools; _tools.mnnconvert(['mnnconvert', *sys.argv[1:]])"


def _run(command: list, folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed:\n{done.stdout}")


def for_ncnn(network: Path, side: int) -> str:
    """The stem of the .ncnn.param and .ncnn.bin beside `network`."""
    folder = network.parent / "ncnn"
    stem = folder / network.stem
    if not stem.with_suffix(".ncnn.bin").exists():
        # Importing pnnx would ask for torch; the program inside the package does not.
        program = Path(find_spec("pnnx").origin).with_name("pnnx")
        folder.mkdir(exist_ok=True)
        copy = stem.with_suffix(".onnx")
        copy.symlink_to(network.resolve())
        _run([str(program), copy.name, f"inputshape=[1,3,{side},{side}]", "fp16=0"], folder)
        for file in folder.glob(f"{network.stem}*pnnx*"):
            file.unlink()
        copy.unlink()
    return str(stem)


def for_mnn(network: Path) -> str:
    """The .mnn file beside `network`."""
    target = network.with_suffix(".mnn")
    if not target.exists():
        arguments = ["-f", "ONNX", "--modelFile", str(network), "--MNNModel", str(target), "--bizCode", "none"]
        _run([sys.executable, "-c", MNN_CONVERT, *arguments], network.parent)
    return str(target)
