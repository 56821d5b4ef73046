"""Writes the table (Markdown) and the plot (SVG) of a results file of `compare.py` beside it."""

import argparse
from pathlib import Path

import plot
import results
from results import Cell

TITLES = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "resnext50_32x4d": "ResNeXt-50",
    "wide_resnet50_2": "Wide ResNet-50",
    "mobilenet_v2": "MobileNet-V2",
    "efficientnet_b0": "EfficientNet-B0",
}
NAMES = {"libvision": "libvision", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "ncnn": "ncnn", "mnn": "MNN"}
SECTIONS = {"native": "The best instruction set of the machine", "avx2": "All held to AVX2"}


def describe(lines: list[dict]) -> str:
    cpus = sorted({line["cpu"] for line in lines})
    dates = sorted({line["date"] for line in lines})
    versions = {}
    for line in lines:
        for name, version in line["versions"].items():
            versions.setdefault(name, set()).add(version)
    named = ", ".join(f"{NAMES[name]} {' and '.join(sorted(found))}" for name, found in versions.items())
    furthest = {}
    for line in lines:
        for name, value in line["logit_difference"].items():
            furthest[name] = max(value, furthest.get(name, 0))
    differ = ", ".join(f"{NAMES[name]} {value:.0e}" for name, value in furthest.items())
    return (
        f"{'; '.join(cpus)}. {' to '.join(dict.fromkeys((dates[0], dates[-1])))}. {named}.\n\n"
        "Times are medians of a run in milliseconds. A ratio is the median of the rounds' ratios, the peer's time over "
        "libvision's, with its quartiles: above 1 libvision is faster.\n\n"
        f"Largest difference from libvision's logits, as a part of the largest: {differ}.\n"
    )


def table(cells: list[Cell]) -> str:
    peers = list(dict.fromkeys(name for cell in cells for name in cell.ratios))
    head = ["network", "batch", "threads", "libvision", *(NAMES[name] for name in peers), "best of peers", "rounds"]
    rows = [head, ["---"] * len(head)]
    for cell in cells:
        row = [TITLES[cell.network], str(cell.batch), str(cell.threads), f"{cell.milliseconds['libvision']:.2f} ms"]
        for name in peers:
            ratio = cell.ratios.get(name)
            row.append(
                f"{cell.milliseconds[name]:.2f} ms, {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
                if ratio else "-"
            )
        row += [f"**{cell.ratios[cell.best].median:.2f}** {NAMES[cell.best]}", str(cell.rounds)]
        rows.append(row)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, metavar="RESULTS.jsonl")
    path = parser.parse_args().results
    cells, lines = results.read(path)
    page = f"# libvision beside its peers, float32\n\n{describe(lines)}"
    for isa, title in SECTIONS.items():
        of_isa = [cell for cell in cells if cell.isa == isa]
        if of_isa:
            picture = path.with_name(f"{path.stem}_{isa}.svg")
            picture.write_text(plot.svg(of_isa, title, TITLES, NAMES))
            page += f"\n## {title}\n\n![{title}]({picture.name})\n\n{table(of_isa)}"
    path.with_suffix(".md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
