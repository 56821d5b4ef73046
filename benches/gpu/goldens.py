"""What must be right before anything is measured: kernels, the shipped model, the preprocessing."""

from steps import json_lines, run

# Of the 60 shipped pictures; the largest difference of a score is a share of 1.
LEAST_EQUAL, LARGEST_DIFFERENCE = 58, 2e-2


def check(kit, results, device):
    suite = kit / "bin" / "gpu-suite"
    results.step("goldens.doctor", 30, lambda: doctor(kit, device))
    for group in run([suite, "--list"], 30).split():
        results.step(f"goldens.{group}", 60, lambda group=group: cases(suite, device, group))
    results.step("goldens.pictures", 60, lambda: pictures(kit, device))


def doctor(kit, device):
    findings = json_lines(run([kit / "bin" / "vision", "doctor", "--device", device, "--json"], 30))
    return {"ok": True, "findings": findings}


def cases(suite, device, group):
    """One group of the suite: each of its cases compares kernels with the CPU, exactly or within a bound that it states."""
    found = json_lines(run([suite, "--device", device, "--group", group, "--json"], 300))
    return {"ok": bool(found) and all(case["ok"] for case in found), "cases": found}


def pictures(kit, device):
    """The shipped pictures on the device and on the CPU of this machine."""
    files = sorted((kit / "model" / "pictures").iterdir())
    command = [kit / "bin" / "vision", "classify", "-m", kit / "model", "--top", "5", "--json"]
    gpu, cpu = (json_lines(run([*command, "--device", name, *files], 120)) for name in (device, "cpu"))
    equal = sum(a["predictions"][0]["label"] == b["predictions"][0]["label"] for a, b in zip(gpu, cpu, strict=True))
    difference = 0.0
    for a, b in zip(gpu, cpu, strict=True):
        scores = {p["label"]: p["score"] for p in b["predictions"]}
        difference = max([difference, *(abs(p["score"] - scores[p["label"]]) for p in a["predictions"] if p["label"] in scores)])
    return {
        "ok": equal >= LEAST_EQUAL and difference <= LARGEST_DIFFERENCE,
        "pictures": len(files),
        "same_label": equal,
        "largest_score_difference": difference,
    }
