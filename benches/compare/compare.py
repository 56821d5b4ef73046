"""Measures libvision beside other runtimes on the same networks, float32: interleaved turns.

All processes stay alive with their threads on the same CPUs. In turns A B C A B C each runs for a moment
while the others are stopped, and every round gives one ratio per peer. So a machine that grows slower
half-way slows all alike. A round beside other work is measured again. Every piece of the run is a line of the results file; the command continues what
is there, so a long run may be cut (`--seconds`; exit status 75 says that rounds are left). `report.py` reads the file.

    cargo build --release -p libvision-benches
    python benches/compare/make_networks.py FOLDER
    python benches/compare/compare.py FOLDER RESULTS.jsonl
"""

import argparse
import datetime
import itertools
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import contestants
import networks
import numpy as np
from contestants import AVX2, PEERS, Contestant
from facts import cpu_model
from line_protocol import SIDE
from numpy_layers import random_pictures
from other_load import LIMIT, OtherLoad

# The largest difference between two runtimes' logits, as a part of the largest: above it they do not compute the same.
TOLERANCE = 1e-3
INCOMPLETE = 75


@dataclass(frozen=True)
class Cell:
    """One field of the table. `isa`: the best of the machine, or all held to AVX2."""

    network: str
    batch: int
    threads: int
    isa: str

    def key(self) -> dict:
        return {"network": self.network, "isa": self.isa, "batch": self.batch, "threads": self.threads}


def start(cell: Cell, names: list[str], network: Path, pictures: str) -> list[Contestant]:
    cpus = set(sorted(os.sched_getaffinity(0))[: cell.threads])
    if len(cpus) < cell.threads:
        raise SystemExit(f"{cell.threads} threads asked for, {len(cpus)} CPUs available")
    sizes = ["--threads", str(cell.threads), "--batch", str(cell.batch), "--input", pictures]
    held = AVX2 if cell.isa == "avx2" else {}
    commands = {name: contestants.command(name, network, SIDE) + sizes for name in names}
    return [Contestant(name, words, held.get(name, {}), cpus) for name, words in commands.items()]


def differences(players: list[Contestant]) -> dict[str, float]:
    """Each peer's largest difference from our logits, as a part of the largest logit."""
    ours, *theirs = [(player.name, player.logits()) for player in players]
    found = {name: float(np.abs(logits - ours[1]).max() / np.abs(ours[1]).max()) for name, logits in theirs}
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise SystemExit(f"{name} computes something else: logits differ by {difference:.1e} of the largest")
    return found


def measure(cell: Cell, names: list[str], folder: Path, rounds: int, deadline: float, turn_ms: float) -> dict:
    """As many undisturbed rounds as fit before the deadline; gives up when most are disturbed."""
    with tempfile.NamedTemporaryFile() as file:
        random_pictures(np.random.default_rng(1), cell.batch, SIDE).tofile(file.name)
        players = start(cell, names, folder / f"{cell.network}.onnx", file.name)
    try:
        differ = differences(players)
        for player in players:
            player.turn(turn_ms)
        times, disturbed = [], 0
        while len(times) < rounds and disturbed < 3 * rounds:
            load = OtherLoad([player.process.pid for player in players])
            turn = {player.name: round(player.turn(turn_ms), 4) for player in players}
            if load.share() < LIMIT:
                times.append(turn)
            else:
                disturbed += 1
            if 2 * time.monotonic() - load.started > deadline:
                break
    finally:
        for player in players:
            player.close()
    return {
        **cell.key(),
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "versions": {player.name: player.version for player in players},
        "logit_difference": {name: float(f"{value:.2g}") for name, value in differ.items()},
        "disturbed_rounds": disturbed,
        "rounds_ms": times,
    }


def rounds_done(results: Path, cell: Cell, names: list[str]) -> int:
    """Rounds of this cell in the file with at least these contestants."""
    if not results.exists():
        return 0
    done = 0
    for line in results.read_text().splitlines():
        row = json.loads(line)
        if cell.key().items() <= row.items() and set(names) <= row["versions"].keys():
            if row["cpu"] != cpu_model():
                raise SystemExit(f"{results} is from another machine ({row['cpu']}); name a new file")
            done += len(row["rounds_ms"])
    return done


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where make_networks.py wrote the networks")
    parser.add_argument("results", type=Path, metavar="RESULTS.jsonl", help="continued if it exists")
    parser.add_argument("--networks", default=",".join(networks.NAMES), help="separated by commas, as are the next four")
    parser.add_argument("--peers", default=",".join(PEERS))
    parser.add_argument("--batch", default="1,8")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--isa", default="native,avx2",
                        help="avx2: libvision, OpenVINO and MNN held to AVX2; left out where the machine has nothing better")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--turn-ms", type=float, default=250, help="time of one turn, roughly")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="start no further round after that")
    arguments = parser.parse_args()
    started = time.monotonic()
    lists = [getattr(arguments, name).split(",") for name in ("isa", "networks", "batch", "threads")]
    for isa, network, batch, threads in itertools.product(*lists):
        if isa == "avx2" and "AVX-512" not in cpu_model():
            continue
        cell = Cell(network, int(batch), int(threads), isa)
        peers = [name for name in arguments.peers.split(",") if isa == "native" or name in AVX2]
        names = ["libvision", *peers]
        while (left := arguments.rounds - rounds_done(arguments.results, cell, names)) > 0:
            deadline = started + arguments.seconds
            if time.monotonic() > deadline:
                return INCOMPLETE
            row = measure(cell, names, arguments.folder, left, deadline, arguments.turn_ms)
            if row["rounds_ms"]:
                with arguments.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
            print(f"{cell}: {len(row['rounds_ms'])} rounds, {row['disturbed_rounds']} disturbed", file=sys.stderr, flush=True)
            if not row["rounds_ms"]:
                return INCOMPLETE
    return 0


if __name__ == "__main__":
    sys.exit(main())
