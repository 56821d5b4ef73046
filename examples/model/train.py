"""Trains the demo network on the drawn pictures, on the CPU, with fixed seeds.

After each epoch the whole state goes to a checkpoint, and a run that was cut off resumes from it.
What is exported is the moving average of the weights after the last epoch; no epoch is picked.
"""

import argparse
import math
import pathlib
import time

import numpy as np
import torch
import torch.nn.functional as F

from classes import CLASSES
from network import SlimResNet

BATCH = 128
# For each epoch the side of its pictures and its share of the learning-rate schedule. Small pictures
# come first: they are cheaper, and what they teach carries over to large ones.
EPOCHS = ((64, 2), (64, 2), (80, 2), (80, 2), (96, 2), (112, 3), (112, 3))
PEAK_RATE = 0.25
WARM_UP = 0.08
WEIGHT_DECAY = 2e-4
SMOOTHING = 0.05
SEED = 1
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Pictures:
    """All training pictures in memory: mapped files would be evicted from the page cache."""

    def __init__(self, folder):
        files = sorted(folder.glob("*.npy"))
        first = np.load(files[0])
        self.pixels = np.empty((len(files) * len(first), *first.shape[1:]), np.uint8)
        for number, file in enumerate(files):
            self.pixels[number * len(first) : (number + 1) * len(first)] = np.load(file)
        self.labels = torch.arange(len(self.pixels)) % len(CLASSES)

    def batch(self, rng, chosen, side):
        """Random crops of one random size, mirrored at random, scaled to `side`."""
        full = self.pixels.shape[1]
        crop = int(rng.integers(100, full + 1))
        pixels = np.empty((len(chosen), crop, crop, 3), np.uint8)
        for row, index in enumerate(chosen):
            y, x = rng.integers(0, full - crop + 1, 2)
            window = self.pixels[index, y : y + crop, x : x + crop]
            pixels[row] = window[:, ::-1] if rng.random() < 0.5 else window
        # Seen as NCHW this is channels-last memory, for which resizing bytes is fast.
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        if crop != side:
            images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        gain = torch.from_numpy(rng.uniform(0.85, 1.15, (len(chosen), 1, 1, 1)).astype(np.float32))
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        std = torch.tensor(STD).view(1, 3, 1, 1)
        return (images * (gain / 255) - mean) / std, self.labels[chosen]


class MovingAverage:
    """Average of weights and batch-norm statistics; early on it follows them quickly."""

    def __init__(self, network):
        self.live = [v for v in network.state_dict().values() if v.is_floating_point()]
        self.average = [v.clone() for v in self.live]
        self.steps = 0

    def update(self):
        self.steps += 1
        decay = min(0.998, self.steps / (self.steps + 10))
        torch._foreach_lerp_(self.average, self.live, 1 - decay)

    def state_dict(self, network):
        averages = iter(self.average)
        return {
            name: next(averages) if value.is_floating_point() else value
            for name, value in network.state_dict().items()
        }


def make_optimizer(network):
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors, "weight_decay": 0}]
    return torch.optim.SGD(groups, lr=PEAK_RATE, momentum=0.9, nesterov=True)


def learning_rate(progress):
    return PEAK_RATE * min(1, progress / WARM_UP) * 0.5 * (1 + math.cos(math.pi * progress))


def schedule(epoch, fraction):
    """How far along the learning-rate schedule this part of an epoch is, from 0 to 1."""
    shares = [share for _, share in EPOCHS]
    return (sum(shares[:epoch]) + shares[epoch] * fraction) / sum(shares)


def train_epoch(epoch, network, average, optimizer, pictures):
    rng = np.random.default_rng([SEED, epoch])
    order = torch.from_numpy(rng.permutation(len(pictures.pixels)))
    steps = len(order) // BATCH
    network.train()
    right, started = 0, time.monotonic()
    for step in range(steps):
        rate = learning_rate(schedule(epoch, step / steps))
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, labels = pictures.batch(rng, order[step * BATCH : (step + 1) * BATCH], EPOCHS[epoch][0])
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last))
        loss = F.cross_entropy(logits.float(), labels, label_smoothing=SMOOTHING)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update()
        right += (logits.argmax(1) == labels).sum().item()
        if step % 100 == 99:
            print(
                f"epoch {epoch} step {step + 1}/{steps} loss {loss.item():.3f} "
                f"top-1 {right / (step + 1) / BATCH:.4f} {time.monotonic() - started:.0f} s",
                flush=True,
            )
    print(f"epoch {epoch} top-1 {right / steps / BATCH:.4f} {time.monotonic() - started:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=pathlib.Path, help="folder that draw_training.py filled")
    parser.add_argument("checkpoint", type=pathlib.Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)

    network = SlimResNet(len(CLASSES)).to(memory_format=torch.channels_last)
    average = MovingAverage(network)
    optimizer = make_optimizer(network)
    first = 0
    if arguments.checkpoint.exists():
        state = torch.load(arguments.checkpoint, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        average.average, average.steps = state["average"], state["steps"]
        first = state["epoch"] + 1
    pictures = Pictures(arguments.pictures)
    print(f"{len(pictures.pixels)} pictures, from epoch {first}", flush=True)
    for epoch in range(first, len(EPOCHS)):
        train_epoch(epoch, network, average, optimizer, pictures)
        part = arguments.checkpoint.with_suffix(".part")
        torch.save({
            "epoch": epoch, "network": network.state_dict(), "optimizer": optimizer.state_dict(),
            "average": average.average, "steps": average.steps,
            "exported": average.state_dict(network),
        }, part)
        part.rename(arguments.checkpoint)


if __name__ == "__main__":
    main()
