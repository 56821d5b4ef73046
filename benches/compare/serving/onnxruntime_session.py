"""The session that LitServe and BentoML serve: the same model, as many threads."""

import base64
import os

import numpy
import onnxruntime


def session():
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(os.environ["THREADS"])
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


def decoded(text):
    return numpy.frombuffer(base64.b64decode(text), numpy.float32).reshape(3, 112, 112)
