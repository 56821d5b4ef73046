"""ONNX Runtime on request, with the thread count as given and everything else at its default."""

import line_protocol
import onnxruntime


def main() -> None:
    job = line_protocol.read_job(__doc__)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(job.model, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: job.pictures}
    line_protocol.serve("onnxruntime", onnxruntime.__version__, lambda: session.run(None, feed)[0])


if __name__ == "__main__":
    main()
