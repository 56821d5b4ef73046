"""Loads a network in libvision and answers once: `MODEL THREADS INPUT`, prints the class index."""

import sys

import libvision
import numpy as np

model, threads, pictures = sys.argv[1:]
picture = np.fromfile(pictures, np.float32).reshape(1, 3, 224, 224)
engine = libvision.Engine(model, max_batch_size=1, threads=int(threads))
print(engine.run({"input": picture})["logits"].argmax(), flush=True)
sys.stdin.read()
