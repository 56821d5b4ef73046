"""MNN on request: float32 (precision high), through its Module interface with the shape fixed.

MODEL is what MNN's converter wrote.
"""

import line_protocol
import MNN
from importlib.metadata import version


def main() -> None:
    job = line_protocol.read_job(__doc__)
    settings = {"backend": "CPU", "numThread": job.threads, "precision": "high"}
    runtime = MNN.nn.create_runtime_manager((settings,))
    module = MNN.nn.load_module_from_file(
        job.model, ["input"], ["logits"], runtime_manager=runtime, shape_mutable=False
    )
    pictures = MNN.expr.const(job.pictures, list(job.pictures.shape), MNN.expr.NCHW)
    line_protocol.serve("mnn", version("MNN"), lambda: module.forward([pictures])[0].read())


if __name__ == "__main__":
    main()
