"""A GLOW of 192 steps on handwritten digits, from upstream's initial weights and near the identity, with anchors and
without.

    pip install '.[benchmark]' && OPENBLAS_NUM_THREADS=1 python benchmarks/deep_digits.py --figure docs/deep_digits.png

The data are those of benchmarks/digits.py, and so are bits per dimension, here of each batch before its update.
"""

from __future__ import annotations

import argparse
import math
import warnings

import numpy as np
from digits import BATCH_SIZE, DIMENSIONS, Digits, bits_per_dimension, dequantised

import pyinvnets as inv

CONTENDERS = {
    "upstream's weights, no anchors": (False, None),
    "upstream's weights, anchors": (False, "auto"),
    "near the identity, anchors": (True, "auto"),
}
GAUSSIAN = 0.5 * DIMENSIONS * math.log(2 * math.pi)


def curve(near_identity, anchors, updates, learning_rate, K):
    """Bits per dimension of each batch, up to the first that is not finite."""
    images, rng = Digits().train, np.random.default_rng(2)
    G = inv.NetworkGlow(1, 16, 2, K, split_scales=True, engine="numpy", seed=1)
    if near_identity:
        inv.begin_near_identity(G)
    G.anchors = anchors
    optimiser, found = inv.Adam(learning_rate), []
    for _ in range(updates):
        X = dequantised(images[rng.choice(len(images), BATCH_SIZE, replace=False)], rng).T
        Z, lgdet = G.forward(X)
        log_prob = lgdet - 0.5 * float(np.sum(np.square(Z, dtype=np.float64))) / BATCH_SIZE - GAUSSIAN
        if not math.isfinite(log_prob):
            break
        found.append(bits_per_dimension(log_prob))
        inv.clear_grad(G)
        G.backward(Z / BATCH_SIZE, Z)
        optimiser.update(G)
    return found


def draw(curves, path):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (whole, trained) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for (name, values), color in zip(curves.items(), ("tab:red", "tab:orange", "tab:blue"), strict=True):
        for ax in (whole, trained):
            ax.plot(range(1, len(values) + 1), values, color=color, label=name)
    whole.set(xlabel="Update", ylabel="Bits per dimension", yscale="log")
    trained.set(xlabel="Update", ylim=(2.5, 6))
    figure.legend(*whole.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    figure.savefig(path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=150)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int, default=192, help="flow steps, in two scales (default 192)")
    parser.add_argument("--figure")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    curves = {}
    for name, (near_identity, anchors) in CONTENDERS.items():
        found = curve(near_identity, anchors, arguments.updates, arguments.learning_rate, arguments.steps // 2)
        curves[name] = found
        shown = ", ".join(f"{found[i]:.2f}" for i in range(0, len(found), max(1, arguments.updates // 10)))
        print(f"{name}: {len(found)} updates, {shown}, last {found[-1] if found else math.nan:.2f}", flush=True)
    if arguments.figure:
        draw(curves, arguments.figure)


if __name__ == "__main__":
    main()
