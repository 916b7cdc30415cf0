"""Deblurring of handwritten digits: the MAP estimate under a flow prior, beside Tikhonov regularisation and total
variation.

    pip install '.[benchmark]' && OPENBLAS_NUM_THREADS=1 python benchmarks/deblurring.py

The data are scikit-learn's 1797 digits of 8x8 pixels, scaled to [0, 1] and split into 1197 to train the prior on, 100
for validation, and 300 for the test; all are blurred by a Gaussian, with zeros beyond the border, and get Gaussian
noise. Each contender has the weight of its regularisation chosen on validation from a grid that is equally spaced in
its logarithm, and whose ends are not the best; for the MAP estimate that is the deviation that is said of the noise.
Tikhonov regularisation also chooses there whether it penalises pixels or their differences. The total variation is the
isotropic one, minimised by the primal-dual algorithm of Chambolle and Pock (2011), https://doi.org/10.1007/s10851-010-0251-1.
All estimates are clipped to [0, 1]. The PSNR is that of each image, and the mean over the test images counts.
"""

from __future__ import annotations

import argparse
import functools

import numpy as np
from sklearn.datasets import load_digits

import pyinvnets as inv
from pyinvnets.inverse_problems import map_estimate

SIDE = 8
PIXELS = SIDE**2
PROBLEMS = ((1.0, 0.05), (1.0, 0.1), (1.5, 0.05))
"""The standard deviations of the blur, in pixels, and of the noise."""


def digits():
    """Columns, one for each image: of training, validation and test."""
    columns = load_digits().data.T / 16
    order = np.random.default_rng(0).permutation(columns.shape[1])
    return np.split(columns[:, order[:1597]], (1197, 1297), axis=1)


def blurring(width):
    """A matrix."""
    offset = np.arange(SIDE)
    line = np.exp(-0.5 * ((offset[:, None] - offset) / width) ** 2) / (np.sqrt(2 * np.pi) * width)
    return np.kron(line, line)


def differences():
    """Those of each pixel and its neighbours, along both axes, as matrices; zero at the last row and column."""
    line = np.eye(SIDE, k=1) - np.eye(SIDE)
    line[-1] = 0
    return np.kron(np.eye(SIDE), line), np.kron(line, np.eye(SIDE))


def tikhonov(penalised, B, y, weight):
    return np.linalg.solve(B.T @ B + weight * penalised.T @ penalised, B.T @ y)


def total_variation(B, y, weight, iterations=1000):
    """Minimise `|B x - y|^2 / 2 + weight TV(x)`."""
    K = np.concatenate(differences())
    step = 0.99 / np.linalg.norm(K, 2)
    resolvent = np.linalg.inv(np.eye(PIXELS) + step * B.T @ B)
    x = ahead = np.zeros((PIXELS, y.shape[1]))
    dual = np.zeros((2, PIXELS, y.shape[1]))
    for _ in range(iterations):
        dual = dual + step * (K @ ahead).reshape(dual.shape)
        dual = dual / np.maximum(1, np.linalg.norm(dual, axis=0) / weight)
        before = x
        x = resolvent @ (x + step * (B.T @ y - K.T @ dual.reshape(2 * PIXELS, -1)))
        ahead = 2 * x - before
    return x


def images(columns):
    """As the flow takes them: of zero mean, about."""
    return np.asfortranarray((columns - 0.5).reshape(SIDE, SIDE, 1, -1, order="F"), np.float32)


def flow_prior(train, validation, epochs):
    G = inv.NetworkGlow(1, 32, 2, 8, split_scales=True, engine="numpy", seed=1)
    updates = epochs * -(-train.shape[1] // 64)
    history = inv.fit(
        G,
        images(train),
        validation=images(validation),
        noise=0.03,
        epochs=epochs,
        batch_size=64,
        learning_rate=inv.CosineDecay(3e-3, updates),
        seed=1,
        progress=False,
    )
    print(f"prior: {history}")
    return G


def of_flow(G, B, y, noise):
    found = map_estimate(G, B, y - 0.5 * B.sum(axis=1, keepdims=True), noise, spatial=(SIDE, SIDE), iterations=200)
    return found.X.reshape(PIXELS, -1, order="F") + 0.5


def psnr(estimate, columns):
    """Of each image, in dB."""
    return -10 * np.log10(np.mean((np.clip(estimate, 0, 1) - columns) ** 2, axis=0))


def grid(start, end):
    return np.geomspace(start, end, 1 + round(4 * np.log10(end / start)))


def chosen(contenders, B, y, columns):
    """The contender, of those given with their weights, and the weight that are best on average."""
    scores = {}
    for function, weights in contenders:
        of_weights = [float(psnr(function(B, y, weight), columns).mean()) for weight in weights]
        best = int(np.argmax(of_weights))
        if best in (0, len(weights) - 1):
            raise ValueError(f"the best weight, {weights[best]}, is at the end of its grid")
        scores[of_weights[best]] = function, weights[best]
    return scores[max(scores)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--epochs", type=int, default=40, help="of the prior's training (default 40)")
    arguments = parser.parse_args()
    train, validation, test = digits()
    G = flow_prior(train, validation, arguments.epochs)
    weights = grid(1e-4, 1)
    penalised = (np.eye(PIXELS), np.concatenate(differences()))
    table = {
        "Tikhonov": [(functools.partial(tikhonov, matrix), weights) for matrix in penalised],
        "total variation": [(total_variation, weights)],
    }
    print("| blur | noise | data |", " | ".join((*table, "MAP")), "|")
    for width, noise in PROBLEMS:
        B, rng = blurring(width), np.random.default_rng(2)
        held_out, y = (B @ X + noise * rng.standard_normal(X.shape) for X in (validation, test))
        of_noise = [(functools.partial(of_flow, G), noise * np.array([0.25, 0.5, 1, 2, 4]))]
        cells = [f"{psnr(y, test).mean():.2f}"]
        for contenders in (*table.values(), of_noise):
            function, weight = chosen(contenders, B, held_out, validation)
            values = psnr(function(B, y, weight), test)
            cells.append(f"{values.mean():.2f} ± {values.std(ddof=1) / np.sqrt(len(values)):.2f} ({weight:.2g})")
        print(f"| {width} | {noise} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
