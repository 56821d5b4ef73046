"""ONNX Runtime behind BentoML with its adaptive batching."""

import os

import bentoml
import numpy
from onnxruntime_session import decoded, session


@bentoml.service(workers=1, traffic={"timeout": 30, "max_concurrency": 1024})
class Classifier:
    def __init__(self):
        self.session = session()

    @bentoml.api(batchable=True, max_batch_size=int(os.environ.get("BATCH", "8")), max_latency_ms=30_000)
    def predict(self, input: list[str]) -> list[int]:
        batch = numpy.stack([decoded(text) for text in input])
        return [int(row.argmax()) for row in self.session.run(["logits"], {"input": batch})[0]]
