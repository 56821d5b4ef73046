"""A readable summary of the results that are there."""

import json


def write(results):
    """Writes summary.md into the folder of results, and prints it."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted(results.folder.glob("*.json"))}
    lines = ["# libvision on a GPU", ""]
    if machine := found.get("machine"):
        lines += [f"{machine['device']}, PyTorch {machine['torch']}, CUDA {machine['cuda']}, cuDNN {machine['cudnn']}.", ""]
    lines += checks(found) + baselines(found) + ratios(found)
    text = "\n".join(lines).rstrip() + "\n"
    (results.folder / "summary.md").write_text(text)
    print(text)


def checks(found):
    rows = []
    for name, step in found.items():
        part, _, rest = name.partition(".")
        if part == "sanitize":
            rows.append(f"| {part} | {rest} | {step['errors']} errors |")
        elif name == "goldens.pictures":
            difference = step["largest_score_difference"]
            rows.append(f"| goldens | pictures | {step['same_label']} of {step['pictures']} labels equal, scores within {difference:.1e} |")
        elif part == "goldens" and "cases" in step:
            rows.append(f"| goldens | {rest} | {len(step['cases'])} cases right |")
    return table(["part", "what", "found"], rows)


def baselines(found):
    lines = []
    if ceilings := found.get("baseline.ceilings"):
        lines.append(f"Copy: {ceilings['copy_bytes_per_second'] / 1e12:.2f} TB/s, read and written together.")
        for dtype in ("f16", "bf16"):
            lines.append(f"Matrix product, {dtype}: {ceilings[f'{dtype}_operations_per_second'] / 1e12:.0f} TFLOP/s.")
        lines.append("")
    rows = []
    for name, step in found.items():
        if name.startswith("baseline.") and "device" in step:
            _, dtype, mode, batch = name.split(".")
            rows.append((mode, dtype, int(batch), step["device"]["median_ms"], step["host"]["median_ms"]))
    rows = [f"| {m} | {d} | {b} | {t:.3f} | {b / t * 1e3:,.0f} | {h:.3f} |" for m, d, b, t, h in sorted(rows)]
    return lines + table(["PyTorch", "dtype", "batch", "on the device, ms", "img/s", "host to host, ms"], rows)


def ratios(found):
    rows = []
    for name, step in found.items():
        if name.startswith("bench."):
            mode, own = name.split(".")[2], step["libvision"]["device_ms"]
            before, after = (step[turn]["device"]["median_ms"] for turn in ("torch_before", "torch_after"))
            ratio = f"{step['device_ratio']:.2f} | {step['host_ratio']:.2f}"
            rows.append((mode, step["batch"], f"{before:.3f}, {after:.3f} | {own:.3f} | {ratio}"))
    rows = [f"| {mode} | {batch} | {rest} |" for mode, batch, rest in sorted(rows)]
    return table(["PyTorch's mode", "batch", "PyTorch before and after, ms", "libvision, ms", "ratio on the device", "host to host"], rows)


def table(heads, rows):
    if not rows:
        return []
    return ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads), *rows, ""]
