"""Upstream's free functions on Julia-shaped arrays.

Source: InvertibleNetworks.jl, src/utils/dimensionality_operations.jl, objective_functions.jl,
activation_functions.jl and test_distributions.jl.
"""

from __future__ import annotations

import numpy as np

from .kernels import layout
from .kernels.layout import inward, outward
from .kernels.squeezers import HaarLayer, ShuffleLayer, WaveletLayer


def squeeze(X, pattern):
    return outward(ShuffleLayer(pattern).forward(inward(X)))


def unsqueeze(Y, pattern):
    return outward(ShuffleLayer(pattern).inverse(inward(Y)))


def wavelet_squeeze(X, type):
    return outward(WaveletLayer(type).forward(inward(X)))


def wavelet_unsqueeze(Y, type):
    return outward(WaveletLayer(type).inverse(inward(Y)))


def Haar_squeeze(X):
    return outward(HaarLayer().forward(inward(X)))


def invHaar_unsqueeze(Y):
    return outward(HaarLayer().inverse(inward(Y)))


def tensor_split(X, split_index):
    first, second = layout.split(inward(X), split_index)
    return outward(first), outward(second)


def tensor_cat(X, Y):
    return outward(np.concatenate((inward(X), inward(Y))))


def activation_forward(activation, x):
    return outward(activation.forward(inward(x)))


def activation_inverse(activation, y):
    return outward(activation.inverse(inward(y)))


def activation_backward(activation, delta, y):
    return outward(activation.backward(inward(delta), inward(y)))


def squeezer_forward(squeezer, X):
    return outward(squeezer.forward(inward(X)))


def squeezer_inverse(squeezer, Y):
    return outward(squeezer.inverse(inward(Y)))


def log_likelihood(X, mu, sigma):
    return float(-0.5 * np.square((X - mu) / sigma).sum() / X.shape[-1])


def grad_log_likelihood(X, mu, sigma):
    return (X - mu) / -(sigma**2 * X.shape[-1])


def mse(X, Y):
    return float(0.5 * np.square(X - Y).sum() / X.shape[-1])


def grad_mse(X, Y):
    return (X - Y) / X.shape[-1]


def sample_banana(batchsize, c1, c2, seed):
    x = np.random.default_rng(seed).standard_normal((2, batchsize), dtype=np.float32)
    samples = np.empty((batchsize, 2, 1, 1), np.float32)
    samples[:, 0, 0, 0] = x[0] / c1
    samples[:, 1, 0, 0] = x[1] * c1 + c1 * c2 * (x[0] ** 2 + c1**2)
    return samples.T


def sample_swirl(batchsize, noise, seed):
    rng = np.random.default_rng(seed)
    angle = np.sqrt(rng.random(batchsize, dtype=np.float32)) * np.float32(800 * 2 * np.pi / 360)
    samples = np.empty((batchsize, 2, 1, 1), np.float32)
    samples[:, 0, 0, 0] = -np.cos(angle) * angle + rng.random(batchsize, dtype=np.float32) * noise
    samples[:, 1, 0, 0] = np.sin(angle) * angle + rng.random(batchsize, dtype=np.float32) * noise
    return samples.T
