"""Draws answers a second and p99 over what was asked for: plot_serving.py RESULTS.jsonl PLOT.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.fonttype"] = "none"
from matplotlib import pyplot

NAMES = {"libvision": "libvision, Starlette", "litserve": "ONNX Runtime, LitServe", "bentoml": "ONNX Runtime, BentoML"}


def main(results, plot):
    lines = [json.loads(line) for line in open(results)]
    figure, (answered, late) = pyplot.subplots(1, 2, figsize=(9, 3.6))
    for server, name in NAMES.items():
        points = sorted((line["offered"], line["answered"], line["p99_ms"]) for line in lines if line["server"] == server)
        if points:
            offered, rate, p99 = zip(*points)
            answered.plot(offered, rate, marker="o", label=name)
            late.plot(offered, p99, marker="o", label=name)
    answered.set(xlabel="asked for, a second", ylabel="answered, a second")
    late.set(xlabel="asked for, a second", ylabel="p99, ms", yscale="log")
    answered.legend(fontsize=8)
    for axes in (answered, late):
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(plot, metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
