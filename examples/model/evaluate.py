"""Measures the exported model on the test set with onnxruntime, and says what it confuses."""

import argparse
import collections
import pathlib

import numpy as np
import onnxruntime

from classes import LABELS
from preprocess import normalise, resize_and_crop, softmax
from test_pictures import COUNT, SEED, TestSet

FOLDER = pathlib.Path(__file__).parent


def answers(model, test_set):
    """Scores for each picture of the set."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    scores = []
    for index in range(test_set.count):
        pixels = resize_and_crop(test_set.picture(index))
        scores.append(softmax(session.run(None, {"input": normalise(pixels[None])})[0])[0])
    return np.stack(scores)


def report(scores, labels):
    order = np.argsort(-scores, axis=1)
    right = order[:, 0] == labels
    in_five = (order[:, :5] == labels[:, None]).any(1)
    print(f"{len(labels)} pictures, top-1 {right.mean() * 100:.2f} %, top-5 {in_five.mean() * 100:.2f} %")
    print(f"score of right answers: median {np.median(scores.max(1)[right]):.3f}, "
          f"of wrong ones {np.median(scores.max(1)[~right]):.3f}")
    pairs = collections.Counter(zip(labels[~right].tolist(), order[~right, 0].tolist()))
    print("most frequent confusions (true -> answer):")
    for (true, answer), count in pairs.most_common(8):
        print(f"  {LABELS[true]} -> {LABELS[answer]}: {count}")
    recall = {label: right[labels == index].mean() for index, label in enumerate(LABELS)}
    print("lowest recall:", ", ".join(f"{label} {recall[label]:.2f}" for label in sorted(recall, key=recall.get)[:10]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=pathlib.Path, default=FOLDER / "model.onnx")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed draws another test set")
    parser.add_argument("--count", type=int, default=COUNT)
    arguments = parser.parse_args()
    test_set = TestSet(arguments.seed, arguments.count)
    labels = np.array([test_set.label(index) for index in range(arguments.count)])
    report(answers(arguments.model, test_set), labels)


if __name__ == "__main__":
    main()
