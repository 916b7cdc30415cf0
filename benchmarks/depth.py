"""How true the gradient of a GLOW network is over its depth, by how many states are kept: `python benchmarks/depth.py`.

The network of two scales is in float32 with upstream's initial weights, on noise. Its gradient is compared with that of
the same weights in float64, where every state is kept.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings

import numpy as np

import pyinvnets as inv


def network(channels, n_hidden, K):
    return inv.NetworkGlow(channels, n_hidden, 2, K, split_scales=True, engine="numpy", seed=1)


def gradient(G, X):
    """The gradient of the negative log-likelihood as one vector, and the seconds that it took."""
    inv.clear_grad(G)
    start = time.perf_counter()
    Z, _ = G.forward(X)
    G.backward(Z / X.shape[-1], Z)
    seconds = time.perf_counter() - start
    return np.concatenate([p.grad.ravel().astype(np.float64) for p in inv.get_params(G)]), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="pixels along each axis (default 64)")
    parser.add_argument("--batch", type=int, default=8, help="images (default 8)")
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 16, 48, 128], help="steps in each of two scales")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    shape = (arguments.size, arguments.size, 3, arguments.batch)
    X = np.asfortranarray(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    print(f"{shape}, load of the machine before: {os.getloadavg()[0]:.1f}")
    print(f"{'steps':>6} {'anchors':>8} {'error':>9} {'cosine':>9} {'states':>10} {'update':>9}")
    for K in arguments.depths:
        G = network(3, 64, K)
        G.forward(X)
        exact = network(3, 64, K).astype(np.float64)
        exact.load_state_dict({name: value.astype(np.float64) for name, value in G.state_dict().items()})
        exact.anchors = 1
        true, _ = gradient(exact, X.astype(np.float64))
        for anchors in (None, 16, 8, 4, 1, "auto"):
            G.anchors = anchors
            got, seconds = gradient(G, X)
            norms = np.linalg.norm(got), np.linalg.norm(true)
            states = 0 if anchors is None else 2 * K // (8 if anchors == "auto" else anchors) * X.nbytes / 2**20
            print(
                f"{2 * K:6} {anchors!s:>8} {np.linalg.norm(got - true) / norms[1]:9.1e} "
                f"{got @ true / norms[0] / norms[1]:9.6f} {states:6.1f} MiB {seconds:7.2f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
