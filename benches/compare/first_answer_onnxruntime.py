"""Loads a network in ONNX Runtime and answers once: `MODEL THREADS INPUT`, prints the class index and the seconds it took."""

import sys
import time

import numpy as np

model, threads, pictures = sys.argv[1:]
picture = np.fromfile(pictures, np.float32).reshape(1, 3, 224, 224)
started = time.perf_counter()

import onnxruntime  # noqa: E402  (its import is part of what is measured)

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
best = session.run(None, {"input": picture})[0].argmax()
print(best, time.perf_counter() - started, flush=True)
sys.stdin.read()
