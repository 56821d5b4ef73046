"""Serves one model with libvision behind Starlette and with ONNX Runtime behind LitServe and BentoML, one after the other,
and asks each the same number of times a second: answers a second and times, at equal load. Appends lines to RESULTS.jsonl.

    compare_serving.py LIBVISION_BENCHES RESULTS.jsonl [--servers libvision,litserve,bentoml] [--rates 100,200] [--seconds 6]
"""

import argparse
import base64
import json
import os
import pathlib
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
MODEL = HERE.parents[2] / "examples/model/model.onnx"
PORT = 8123


def command(server):
    python = sys.executable
    return {
        "libvision": [python, "-m", "uvicorn", "--port", str(PORT), "--log-level", "error", "--no-access-log", "libvision_app:app"],
        "litserve": [python, "litserve_app.py"],
        "bentoml": [python, "-m", "bentoml", "serve", "bentoml_app:Classifier", "--port", str(PORT), "--host", "127.0.0.1"],
    }[server]


def wait_until_served(process):
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server ended before it was ready")
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server is not ready after a minute")


def wait_until_gone():
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
            time.sleep(0.1)
        except OSError:
            return
    raise SystemExit(f"somebody still serves on port {PORT}")


def ask(benches, body, rate, seconds):
    answer = subprocess.run(
        [benches, "http", f"127.0.0.1:{PORT}/predict", "--input", body, "--rate", str(rate), "--runs", str(int(seconds * 10))],
        check=True, capture_output=True, text=True,
    )
    return json.loads(answer.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("benches")
    parser.add_argument("results")
    parser.add_argument("--servers", default="libvision,litserve,bentoml")
    parser.add_argument("--rates", default="50,100,200,300,400,500,600")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--batch", type=int, default=8)
    arguments = parser.parse_args()
    environment = os.environ | {
        "MODEL": str(MODEL), "THREADS": "1", "BATCH": str(arguments.batch), "PORT": str(PORT),
        "OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "1", "PYTHONWARNINGS": "ignore",
    }
    pixels = random.Random(1)
    picture = struct.pack("<37632f", *(pixels.gauss(0, 1) for _ in range(3 * 112 * 112)))
    text = base64.b64encode(picture).decode()
    with open(arguments.results, "a") as results:
        for server in arguments.servers.split(","):
            # A method that BentoML batches takes lists.
            body = tempfile.NamedTemporaryFile("w", suffix=".json")
            json.dump({"input": [text] if server == "bentoml" else text}, body)
            body.flush()
            wait_until_gone()
            process = subprocess.Popen(command(server), cwd=HERE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
            try:
                wait_until_served(process)
                time.sleep(2)
                ask(arguments.benches, body.name, 50, 1)
                for rate in arguments.rates.split(","):
                    found = ask(arguments.benches, body.name, float(rate), arguments.seconds)
                    line = {"bench": "serving", "server": server, "batch": arguments.batch, "threads": 1} | found
                    print(json.dumps(line), flush=True)
                    results.write(json.dumps(line) + "\n")
                    results.flush()
                    if found["answered"] < 0.8 * found["offered"]:
                        break
            finally:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(8)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                wait_until_gone()


if __name__ == "__main__":
    main()
