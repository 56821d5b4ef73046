"""PyTorch on ResNet-50 in f16 and bf16: the three ways that people run it, and what the card can do at all."""

import copy
import statistics
import time

import torch

DTYPES = {"f16": torch.float16, "bf16": torch.bfloat16}
MODES = ("eager", "graph", "compile")


def prepare(model, mode, dtype, batch):
    """Returns (step, input): `step()` runs the network once on the device's current stream, from `input`, which lies on the device."""
    network = copy.deepcopy(model).to("cuda", DTYPES[dtype], memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 224, 224, device="cuda", dtype=DTYPES[dtype]).to(memory_format=torch.channels_last)
    if mode == "compile":
        network = torch.compile(network, mode="max-autotune")
    with torch.inference_mode():
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                network(x)
        torch.cuda.current_stream().wait_stream(side)
    if mode == "graph":
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            y = network(x)
        return (lambda: (graph.replay(), y)[1]), x

    def step():
        with torch.inference_mode():
            return network(x)

    return step, x


def device_ms(step):
    """Times of `step` on the device, in milliseconds, between two events."""

    def once():
        start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        step()
        stop.record()
        stop.synchronize()
        return start.elapsed_time(stop)

    return repeated(once)


def host_ms(step, x):
    """Times from pixels in pinned memory to logits in host memory, in milliseconds."""
    pinned = x.cpu().pin_memory()

    def once():
        start = time.perf_counter()
        x.copy_(pinned, non_blocking=True)
        step().float().cpu()
        return (time.perf_counter() - start) * 1e3

    return repeated(once)


def repeated(once, seconds=1.0):
    """Summary of what `once` gives, time after time, after some that do not count."""
    for _ in range(5):
        once()
    times, end = [], time.monotonic() + seconds
    while len(times) < 20 or time.monotonic() < end:
        times.append(once())
    return summary(times)


def summary(times):
    """Median and how far the quarters lie from it."""
    low, median, high = statistics.quantiles(times, n=4)
    return {"median_ms": median, "quartiles_ms": [low, high], "runs": len(times)}


def ceilings():
    """Bytes per second of a large copy (read and written), and operations per second of a large matrix product, on random data."""
    a = torch.randint(0, 255, (2 << 30,), dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    copy = device_ms(lambda: b.copy_(a))
    found = {"copy_bytes_per_second": 2 * a.numel() / copy["median_ms"] * 1e3}
    del a, b
    for dtype, kind in DTYPES.items():
        left, right = (torch.randn(8192, 8192, device="cuda", dtype=kind) for _ in range(2))
        product = device_ms(lambda: left @ right)
        found[f"{dtype}_operations_per_second"] = 2 * 8192**3 / product["median_ms"] * 1e3
    return found


def machine():
    """What the figures were measured on."""
    properties = torch.cuda.get_device_properties(0)
    return {
        "device": properties.name,
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
