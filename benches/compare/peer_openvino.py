"""OpenVINO on request: the latency hint, float32, the shapes fixed before it compiles, no copies of input or output."""

import line_protocol
import openvino


def main() -> None:
    job = line_protocol.read_job(__doc__)
    core = openvino.Core()
    model = core.read_model(job.model)
    model.reshape(list(job.pictures.shape))
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": job.threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", settings).create_infer_request()

    def run():
        return request.infer({0: job.pictures}, share_inputs=True, share_outputs=True)[0]

    line_protocol.serve("openvino", openvino.__version__.split("-")[0], run)


if __name__ == "__main__":
    main()
