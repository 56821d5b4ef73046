"""Loads a network in ONNX Runtime and answers once: `MODEL THREADS INPUT`, prints the class index."""

import sys

import numpy as np
import onnxruntime

model, threads, pictures = sys.argv[1:]
picture = np.fromfile(pictures, np.float32).reshape(1, 3, 224, 224)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = int(threads)
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
print(session.run(None, {"input": picture})[0].argmax(), flush=True)
sys.stdin.read()
