"""libvision behind Starlette: POST /predict takes {"input": base64 of a float32 picture}, answers with the class index."""

import base64
import os

import numpy
from libvision import Engine, Model
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

engine = Engine(
    Model.load(os.environ["MODEL"]),
    device="cpu",
    threads=int(os.environ["THREADS"]),
    max_batch_size=int(os.environ["BATCH"]),
    queue_capacity=1024,
)


async def predict(request):
    body = await request.json()
    picture = numpy.frombuffer(base64.b64decode(body["input"]), numpy.float32).reshape(1, 3, 112, 112)
    outputs = await engine.run_async({"input": picture})
    return JSONResponse(int(outputs["logits"].argmax()))


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])])
