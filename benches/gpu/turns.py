"""ResNet-50 in libvision and in PyTorch, in turns A B A: PyTorch, libvision, PyTorch, in one process order."""

import baseline
import resnet50
from steps import json_lines, run

BATCHES = (1, 8, 32, 128, 256)


def measure(kit, results, device, with_libvision):
    network = resnet50.seeded()
    file = results.folder / "resnet50.safetensors"
    if not file.exists():
        resnet50.save_safetensors(network, file)
    results.step("machine", 5, lambda: {"ok": True, **baseline.machine()})
    if not with_libvision:
        results.step("baseline.ceilings", 60, lambda: {"ok": True, **baseline.ceilings()})
    # compile takes longest, so it comes last and cannot keep the others from being measured.
    for mode in baseline.MODES:
        for batch in BATCHES:
            seconds = 120 if mode == "compile" else 20
            if with_libvision:
                name, work = f"bench.f16.{mode}.{batch}", lambda: beside(kit, device, file, network, mode, batch)
                results.step(name, seconds + 15, work)
            else:
                for dtype in baseline.DTYPES:
                    work = lambda: {"ok": True, **alone(baseline.prepare(network, mode, dtype, batch))}
                    results.step(f"baseline.{dtype}.{mode}.{batch}", seconds, work)


def alone(prepared):
    step, x = prepared
    return {"device": baseline.device_ms(step), "host": baseline.host_ms(step, x)}


def libvision(kit, device, file, batch):
    vision = kit / "bin" / "vision"
    (found,) = json_lines(run([vision, "bench", "-m", file, "--device", device, "--batch", batch, "--json"], 60))
    return found


def beside(kit, device, file, network, mode, batch):
    """Ratios of the times, PyTorch's mean of before and after over libvision's: above 1 libvision is faster."""
    prepared = baseline.prepare(network, mode, "f16", batch)
    before = alone(prepared)
    ours = libvision(kit, device, file, batch)
    after = alone(prepared)

    def ratio(what, own):
        return (before[what]["median_ms"] + after[what]["median_ms"]) / 2 / own

    return {
        "ok": True,
        "batch": batch,
        "torch_before": before,
        "libvision": ours,
        "torch_after": after,
        "device_ratio": ratio("device", ours["device_ms"]),
        "host_ratio": ratio("host", ours["median_ms"]),
    }
