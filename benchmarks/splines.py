"""Time of one update of a spline flow on rows, beside the affine flow of the same size and zuko's spline flows.

    pip install '.[torch]' zuko && python benchmarks/splines.py

Forward, backward and Adam of the NumPy engine, and of zuko (PyTorch, CPU), with as many steps of as many hidden
features and bins: `NSF` by coupling (`passes=2`), and autoregressive, which is zuko's default. Each has a process and a
thread of its own; they take turns, so that a noisy machine bothers all alike. Each figure is the median.
"""

from __future__ import annotations

import argparse

import numpy as np
from updates import milliseconds, updating

import pyinvnets as inv

CASES = {
    "2 features, batch 150": (150, 2, 0, 32, 8),
    "5 given 8, batch 128": (128, 5, 8, 32, 8),
    "10 given 10, batch 256": (256, 10, 10, 64, 8),
}
"""Rows, features, those of the condition, hidden features, steps."""


def ours(samples, n_features, n_cond, n_hidden, K, coupling):
    inv.set_num_threads(1)
    flow = inv.VectorFlow(n_features, n_cond=n_cond, n_hidden=n_hidden, K=K, coupling=coupling, engine="numpy", seed=1)
    rng = np.random.default_rng(0)
    images = [rng.standard_normal((samples, n, 1, 1), dtype=np.float32).T for n in (n_features, n_cond) if n]
    if n_cond:
        return updating_conditional(flow.network, *images)
    return updating(flow.network, *images)


def updating_conditional(G, X, C):
    opt = inv.Adam(1e-4)

    def update():
        Z, condition, _ = G.forward(X, C)
        G.backward(Z / X.shape[-1], Z, condition)
        opt.update(G)
        inv.clear_grad(G)

    return update


def zuko(samples, n_features, n_cond, n_hidden, K, passes):
    import torch
    import zuko

    torch.set_num_threads(1)
    torch.manual_seed(0)
    flow = zuko.flows.NSF(n_features, n_cond, transforms=K, hidden_features=(n_hidden, n_hidden), bins=8, passes=passes)
    optimiser = torch.optim.Adam(flow.parameters(), 1e-4)
    X, C = torch.randn(samples, n_features), torch.randn(samples, n_cond)

    def update():
        optimiser.zero_grad()
        loss = -(flow(C) if n_cond else flow()).log_prob(X).mean()
        loss.backward()
        optimiser.step()

    return update


CONTENDERS = {
    "affine": (ours, "affine"),
    "spline": (ours, "spline"),
    "zuko, coupling": (zuko, 2),
    "zuko, autoregressive": (zuko, None),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="time for each case (default 30)")
    seconds = parser.parse_args().seconds
    print(f"{'one update':24}" + "".join(f"{name:>22}" for name in CONTENDERS) + f"{'spline / affine':>18}")
    for name, case in CASES.items():
        times = milliseconds([(make, (*case, kind)) for make, kind in CONTENDERS.values()], seconds)
        print(f"{name:24}" + "".join(f"{time:>19.2f} ms" for time in times) + f"{times[1] / times[0]:>18.2f}")


if __name__ == "__main__":
    main()
