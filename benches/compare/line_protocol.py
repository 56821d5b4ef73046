"""The peer's side of `compare.py`: what each `peer_*.py` reads from its command line and answers on its lines.

`run N` is answered with N times in milliseconds, `logits` with the logits of the whole batch.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SIDE = 224


@dataclass(frozen=True)
class Job:
    """What a peer is to run."""

    model: str
    threads: int
    batch: int
    pictures: np.ndarray  # float32 [batch, 3, SIDE, SIDE]


def read_job(description: str) -> Job:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--input", required=True, help="raw float32 pictures of the batch")
    arguments = parser.parse_args()
    pictures = np.fromfile(arguments.input, np.float32).reshape(arguments.batch, 3, SIDE, SIDE)
    return Job(arguments.model, arguments.threads, arguments.batch, pictures)


def serve(name: str, version: str, run: Callable[[], np.ndarray]) -> None:
    """Answers until standard input ends. `run` gives the logits of the job's pictures."""
    logits = np.asarray(run())
    print(f"ready {name} {version}", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "logits":
            print(" ".join(f"{value:.9g}" for value in logits.ravel()), flush=True)
            continue
        times = []
        for _ in range(int(words[0])):
            started = time.perf_counter()
            run()
            times.append((time.perf_counter() - started) * 1e3)
        print(" ".join(f"{ms:.4f}" for ms in times), flush=True)
