"""Times libvision beside ONNX Runtime on the same model, input size, batch and threads.

Each runs in a process of its own, pinned to the same CPUs. They take turns: a turn is a few runs, its
figure their median; a round is one turn each; the result is the median of the rounds' ratios. So a
machine that grows slower half-way slows both. A ratio above 1 means that libvision is faster.

    cargo build --release -p libvision-benches
    python benches/compare/compare.py resnet50.onnx --threads 1 --batch 1
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Runner:
    """A process that runs the model on request."""

    def __init__(self, name: str, command: list[str], cpus: set[int]):
        self.name = name
        environment = dict(os.environ)
        # A machine-wide setting for other libraries must not slow a peer down.
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_CORETYPE"):
            environment.pop(variable, None)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            preexec_fn=lambda: os.sched_setaffinity(0, cpus),
        )
        ready = self.process.stdout.readline().split(maxsplit=1)
        if ready[:1] != ["ready"]:
            raise SystemExit(f"{name} did not start")
        self.version = ready[1].strip()

    def turn(self, runs: int) -> float:
        """Median milliseconds of `runs` runs, after one that fills the caches again."""
        self.process.stdin.write(f"run {runs + 1}\n")
        self.process.stdin.flush()
        times = [float(ms) for ms in self.process.stdout.readline().split()]
        return statistics.median(times[1:])

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def compare(model: str, threads: int, batch: int, rounds: int, runs: int) -> dict:
    cpus = set(sorted(os.sched_getaffinity(0))[:threads])
    if len(cpus) < threads:
        raise SystemExit(f"{threads} threads asked for, {len(cpus)} CPUs available")
    sizes = ["--threads", str(threads), "--batch", str(batch)]
    binary = str(ROOT / "target/release/libvision-benches")
    ours = Runner("libvision", [binary, "serve", model, *sizes], cpus)
    peer_script = str(Path(__file__).with_name("peer_onnxruntime.py"))
    peer = Runner("onnxruntime", [sys.executable, peer_script, model, *sizes], cpus)
    ratios, our_times, peer_times = [], [], []
    for _ in range(rounds):
        our_times.append(ours.turn(runs))
        peer_times.append(peer.turn(runs))
        ratios.append(peer_times[-1] / our_times[-1])
    ours.close()
    peer.close()
    quartiles = statistics.quantiles(ratios, n=4)
    return {
        "model": Path(model).name,
        "threads": threads,
        "batch": batch,
        "rounds": rounds,
        "libvision": ours.version,
        "peer": peer.version,
        "libvision_ms": statistics.median(our_times),
        "peer_ms": statistics.median(peer_times),
        "ratio": statistics.median(ratios),
        "ratio_quartiles": [quartiles[0], quartiles[2]],
        "cpu": cpu_model(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL.onnx")
    parser.add_argument("--threads", default="1,2", help="thread counts, separated by commas")
    parser.add_argument("--batch", default="1", help="batch sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--runs", type=int, default=5, help="runs per turn")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    arguments = parser.parse_args()
    for model in arguments.models:
        for threads in map(int, arguments.threads.split(",")):
            for batch in map(int, arguments.batch.split(",")):
                row = compare(model, threads, batch, arguments.rounds, arguments.runs)
                if arguments.json:
                    print(json.dumps(row), flush=True)
                else:
                    low, high = row["ratio_quartiles"]
                    print(
                        f"{row['model']:<20} {threads} threads, batch {batch}: "
                        f"libvision {row['libvision_ms']:.2f} ms, onnxruntime {row['peer_ms']:.2f} ms, "
                        f"ratio {row['ratio']:.2f} (quartiles {low:.2f} to {high:.2f})",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
