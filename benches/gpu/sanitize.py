"""The kernel suite under each tool of compute-sanitizer."""

import re

from steps import run

TOOLS = ("memcheck", "racecheck", "initcheck", "synccheck")
# The layers of four networks take the same kernels as the awkward ones, and hours under a tool.
LEFT_OUT = {"layers"}


def check(kit, results, device):
    suite = kit / "bin" / "gpu-suite"
    groups = [group for group in run([suite, "--list"], 30).split() if group not in LEFT_OUT]
    for group in groups:
        for tool in TOOLS:
            results.step(f"sanitize.{tool}.{group}", 120, lambda: under(tool, suite, device, group))


def under(tool, suite, device, group):
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "86"]
    text = run([*command, suite, "--device", device, "--group", group, "--json"], 500)
    errors = re.search(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", text)
    if errors is None:
        raise RuntimeError(f"compute-sanitizer gave no summary: {text[-1000:]}")
    return {"ok": int(errors[1]) == 0, "errors": int(errors[1])}
