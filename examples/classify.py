"""Says what is on pictures: `classify.py [--embed | --run] MODEL PICTURE...`, one line each.

The same program exists in Rust, C, C++ and JavaScript beside this one; all print the same lines.
"""

import sys
from collections import deque

import libvision

# Requests under way at a time, so that they fill batches and never the queue.
WINDOW = 64


def main() -> int:
    arguments = sys.argv[1:]
    task = "classify"
    if arguments and arguments[0] in ("--embed", "--run"):
        task = {"--embed": "embed", "--run": "outputs"}[arguments.pop(0)]
    if len(arguments) < 2:
        print("usage: classify.py [--embed | --run] MODEL PICTURE...", file=sys.stderr)
        return 2
    model, *pictures = arguments
    try:
        engine = libvision.Engine(model)
    except libvision.VisionError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        return 2
    with engine:
        return 0 if classify(engine, pictures, task) else 1


def classify(engine, pictures, task):
    """Whether every picture was answered."""
    waiting = deque()
    all_answered = True
    for picture in pictures:
        if len(waiting) == WINDOW:
            all_answered &= print_next(waiting)
        waiting.append((picture, submit(engine, picture, task)))
    while waiting:
        all_answered &= print_next(waiting)
    return all_answered


def submit(engine, picture, task):
    """The pending request, or the error with which it was refused."""
    try:
        return engine.submit(picture, task)
    except libvision.VisionError as error:
        return error


def print_next(waiting):
    picture, pending = waiting.popleft()
    try:
        if isinstance(pending, libvision.VisionError):
            raise pending
        print(f"{picture}{line(pending.result())}")
    except libvision.VisionError as error:
        print(f"{picture} | error {error.code}: {error}")
        return False
    return True


def line(answer):
    if isinstance(answer, libvision.Result):
        return "".join(f" | {p.label} {p.score:.6f}" for p in answer)
    first_output = next(iter(answer.values())) if isinstance(answer, dict) else answer
    values = first_output.ravel()
    return f" | {values.size}: " + " ".join(f"{value:.6f}" for value in values[:4])


if __name__ == "__main__":
    sys.exit(main())
