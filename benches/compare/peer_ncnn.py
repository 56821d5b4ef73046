"""ncnn on request: float32, its own choice of Winograd, GEMM and packing.

MODEL is the stem of what pnnx wrote: MODEL.ncnn.param and MODEL.ncnn.bin. A batch runs as one
batched input or picture by picture, whichever is faster here.
"""

import time
from importlib.metadata import version

import line_protocol
import ncnn
import numpy as np


def open_net(stem: str, threads: int) -> ncnn.Net:
    net = ncnn.Net()
    net.opt.num_threads = threads
    net.opt.use_vulkan_compute = False
    for half in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_packed", "bf16_storage"):
        setattr(net.opt, f"use_{half}", False)
    if net.load_param(f"{stem}.ncnn.param") or net.load_model(f"{stem}.ncnn.bin"):
        raise SystemExit(f"ncnn cannot read {stem}.ncnn.param and .bin")
    return net


def seconds(run) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def main() -> None:
    job = line_protocol.read_job(__doc__)
    net = open_net(job.model, job.threads)
    together = ncnn.Mat(job.pictures, batch_index=0).clone()
    pictures = [ncnn.Mat(picture).clone() for picture in job.pictures]

    def extract(mat):
        with net.create_extractor() as extractor:
            extractor.input("in0", mat)
            return extractor.extract("out0")[1]

    def run_together():
        return extract(together).numpy(batch_index=0)

    def run_one_by_one():
        return np.stack([np.array(extract(picture)) for picture in pictures])

    best = {run: min(seconds(run) for _ in range(4)) for run in (run_together, run_one_by_one)}
    line_protocol.serve("ncnn", version("ncnn"), min(best, key=best.get))


if __name__ == "__main__":
    main()
