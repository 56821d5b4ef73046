"""From a fresh process to the first answer: time and peak anonymous memory, libvision beside ONNX Runtime.

Both are Python programs that import, load an ONNX file from a warm page cache and answer one picture with
everything but the thread count at its default. They run in turns. Two times: from starting the process to
its answer on the pipe, and from the import of the runtime to the answer, without Python's and numpy's own start,
which both programs pay alike. Memory (RssAnon, all that is not file pages) is watched in runs of its own.
The wheel is to be installed beside `requirements.txt`.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import networks  # noqa: F401  (makes the tests' builders importable)
import numpy as np
from contestants import CLEARED
from facts import cpu_model
from numpy_layers import random_pictures
from other_load import LIMIT, OtherLoad

NAMES = ("libvision", "onnxruntime")
LIMITS = {"process_seconds": 0.5, "load_seconds": 0.5, "rss_anon_mib": 0.7}
TIMES = ("process_seconds", "load_seconds")


def start(name: str, model: Path, threads: int, pictures: str) -> subprocess.Popen:
    script = Path(__file__).with_name(f"first_answer_{name}.py")
    variables = {key: value for key, value in os.environ.items() if key not in CLEARED}
    return subprocess.Popen(
        [sys.executable, script, model, str(threads), pictures],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=variables,
    )


def finish(process: subprocess.Popen) -> None:
    process.stdin.close()
    if process.wait():
        raise SystemExit(f"{process.args[1]} failed")


def seconds(*job) -> tuple[float, float] | None:
    """From the start of the process, and from the import of the runtime, to the answer; None beside other load."""
    started = time.perf_counter()
    process = start(*job)
    load = OtherLoad([process.pid])
    answer = process.stdout.readline()
    taken = time.perf_counter() - started
    undisturbed = load.share() < LIMIT
    finish(process)
    return (taken, float(answer.split()[1])) if undisturbed else None


def rss_anon_mib(*job) -> float:
    """The most that was seen, looking every millisecond until the answer is there."""
    process = start(*job)
    most = 0
    os.set_blocking(process.stdout.fileno(), False)
    while not process.stdout.readline():
        if process.poll() is not None:
            break
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                most = max(most, int(line.split()[1]))
        time.sleep(0.001)
    finish(process)
    return most / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="of make_networks.py")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    measured = {what: {name: [] for name in NAMES} for what in LIMITS}
    with tempfile.NamedTemporaryFile() as file:
        random_pictures(np.random.default_rng(1), 1, 224).tofile(file.name)
        jobs = {name: (name, arguments.model, arguments.threads, file.name) for name in NAMES}
        for job in jobs.values():
            seconds(*job)
        attempts = 0
        while len(measured[TIMES[0]][NAMES[0]]) < arguments.rounds and attempts < 4 * arguments.rounds:
            attempts += 1
            turn = {name: seconds(*job) for name, job in jobs.items()}
            if None not in turn.values():
                for name, taken in turn.items():
                    for what, value in zip(TIMES, taken):
                        measured[what][name].append(value)
        for _ in range(3):
            for name, job in jobs.items():
                measured["rss_anon_mib"][name].append(rss_anon_mib(*job))
    row = {
        "network": arguments.model.stem, "threads": arguments.threads, "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
    }
    for what, values in measured.items():
        ratios = [ours / theirs for ours, theirs in zip(*(values[name] for name in NAMES))]
        low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
        row[what] = {name: round(statistics.median(values[name]), 4) for name in NAMES}
        row[what] |= {"ratio": round(median, 3), "quartiles": [round(low, 3), round(high, 3)], "at_most": LIMITS[what]}
    print(json.dumps(row))


if __name__ == "__main__":
    main()
