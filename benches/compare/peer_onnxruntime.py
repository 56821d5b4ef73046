"""Runs a model in ONNX Runtime on request: the peer's side of `compare.py`.

Reads `run N` lines, answers each with N times in milliseconds. Thread count and affinity are as given;
everything else is ONNX Runtime's default.
"""

import argparse
import sys
import time

import numpy as np
import onnxruntime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    arguments = parser.parse_args()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(arguments.model, options, providers=["CPUExecutionProvider"])
    (model_input,) = session.get_inputs()
    shape = [arguments.batch, *model_input.shape[1:]]
    pictures = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    feed = {model_input.name: pictures}
    session.run(None, feed)
    print(f"ready onnxruntime {onnxruntime.__version__}", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line.split()[1])):
            started = time.perf_counter()
            session.run(None, feed)
            times.append((time.perf_counter() - started) * 1e3)
        print(" ".join(f"{ms:.4f}" for ms in times), flush=True)


if __name__ == "__main__":
    main()
