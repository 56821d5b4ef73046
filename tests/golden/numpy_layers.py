"""Layers in numpy and random pictures, with which the builders fit random weights to what flows through a network."""

import numpy as np


def random_pictures(rng, count, side):
    """Normalised inputs with both large shapes and grain, unlike each other."""
    coarse = rng.standard_normal((count, 3, 4, 4)) + rng.standard_normal((count, 3, 1, 1))
    repeat = -(-side // 4)
    pictures = coarse.repeat(repeat, 2).repeat(repeat, 3)[:, :, :side, :side]
    return (0.8 * pictures + 0.4 * rng.standard_normal(pictures.shape)).astype(np.float32)


def convolve_depthwise(x, weight, stride, padding):
    """One filter [C,1,K,K] for each channel."""
    kernel = weight.shape[2]
    height, width = ((size + 2 * padding - kernel) // stride + 1 for size in x.shape[2:])
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    out = np.zeros((*x.shape[:2], height, width), np.float32)
    for row in range(kernel):
        for column in range(kernel):
            taps = x[:, :, row : row + height * stride : stride, column : column + width * stride : stride]
            out += taps[:, :, :height, :width] * weight[:, :1, row, column, None]
    return out


def convolve(x, weight, stride, padding, groups=1):
    n, channels, _, _ = x.shape
    outputs, _, kernel, _ = weight.shape
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), (2, 3))
    windows = windows[:, :, ::stride, ::stride].transpose(0, 2, 3, 1, 4, 5)
    _, height, width = windows.shape[:3]
    per_group = channels // groups * kernel * kernel
    columns = windows.reshape(n * height * width, groups, per_group)
    filters = weight.reshape(groups, outputs // groups, per_group)
    out = np.concatenate([columns[:, g] @ filters[g].T for g in range(groups)], axis=1)
    return out.reshape(n, height, width, outputs).transpose(0, 3, 1, 2)


def max_pool(x):
    """3x3, stride 2, padding 1."""
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max((-1, -2))
