"""Loads a network in libvision and answers once: `MODEL THREADS INPUT`, prints the class index and the seconds it took."""

import sys
import time

import numpy as np

model, threads, pictures = sys.argv[1:]
picture = np.fromfile(pictures, np.float32).reshape(1, 3, 224, 224)
started = time.perf_counter()

import libvision  # noqa: E402  (its import is part of what is measured)

engine = libvision.Engine(model, max_batch_size=1, threads=int(threads))
best = engine.run({"input": picture})["logits"].argmax()
print(best, time.perf_counter() - started, flush=True)
sys.stdin.read()
