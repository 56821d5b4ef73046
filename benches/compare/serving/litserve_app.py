"""ONNX Runtime behind LitServe, batching as libvision does: up to BATCH pictures, 1 ms of waiting."""

import os

import litserve
import numpy
from onnxruntime_session import decoded, session


class Classifier(litserve.LitAPI):
    def setup(self, device):
        self.session = session()

    def decode_request(self, request):
        return decoded(request["input"])

    def batch(self, inputs):
        return numpy.stack(inputs)

    def predict(self, batch):
        return self.session.run(["logits"], {"input": batch})[0]

    def unbatch(self, output):
        return list(output)

    def encode_response(self, output):
        return int(output.argmax())


if __name__ == "__main__":
    api = Classifier(max_batch_size=int(os.environ["BATCH"]), batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, timeout=30)
    server.run(host="127.0.0.1", port=int(os.environ["PORT"]), num_api_servers=1, generate_client_file=False, log_level="error")
