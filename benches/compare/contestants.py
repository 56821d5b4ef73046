"""Who takes part in the comparison: how each is started and spoken to."""

import ctypes
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path

import convert
import numpy as np

HERE = Path(__file__).resolve().parent
OURS = HERE.parents[1] / "target/release/libvision-benches"
PEERS = ("onnxruntime", "openvino", "ncnn", "mnn")
# Which of them can be held to AVX2, and how. MNN's wheel has nothing above it.
AVX2 = {
    "libvision": {"LIBVISION_CPU_ISA": "avx2"},
    "openvino": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "mnn": {},
}
# Machine-wide settings for other libraries that would slow a contestant down or speed it up.
CLEARED = ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "LIBVISION_CPU_ISA")


def command(name: str, network: Path, side: int) -> list[str]:
    if name == "libvision":
        return [str(OURS), "serve", str(network)]
    model = str(network)
    if name == "ncnn":
        model = convert.for_ncnn(network, side)
    if name == "mnn":
        model = convert.for_mnn(network)
    return [sys.executable, str(HERE / f"peer_{name}.py"), model]


def _prepare(cpus: set[int]) -> None:
    """In the child: its CPUs, and death with its parent, since a stopped process would outlive it."""
    os.sched_setaffinity(0, cpus)
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Contestant:
    """A process that runs a network on request. It is stopped, not merely idle, while others have their turn."""

    def __init__(self, name: str, words: list[str], environment: dict[str, str], cpus: set[int]):
        self.name = name
        variables = {key: value for key, value in os.environ.items() if key not in CLEARED}
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**variables, **environment},
            preexec_fn=lambda: _prepare(cpus),
        )
        ready = next((line for line in self.process.stdout if line.startswith("ready ")), "")
        if not ready:
            raise SystemExit(f"{name} did not start")
        self.version = ready.split(maxsplit=2)[2].strip()
        self.runs = 3
        self.process.send_signal(signal.SIGSTOP)

    def _ask(self, line: str) -> list[float]:
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = [float(word) for word in self.process.stdout.readline().split()]
        if not answer:
            raise SystemExit(f"{self.name} stopped answering")
        self.process.send_signal(signal.SIGSTOP)
        return answer

    def logits(self) -> np.ndarray:
        return np.array(self._ask("logits"))

    def turn(self, milliseconds: float) -> float:
        """Median time of as many runs as fill `milliseconds` (3 to 50), after one that fills the caches again."""
        median = statistics.median(self._ask(f"run {self.runs + 1}")[1:])
        self.runs = min(50, max(3, round(milliseconds / median)))
        return median

    def close(self) -> None:
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        self.process.wait()
