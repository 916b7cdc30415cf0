"""Peak memory and time of one update of reverse KL over depth: the NumPy engine's reversed network, by itself and as a
`FlowModule`, and normflows' `reverse_kld`.

    pip install '.[benchmark]' && python benchmarks/reverse.py

All fit a flow of like size (one squeeze, K flow steps, images of 64x64x3) to a Gaussian with Adam, in float32 on the
CPU: samples from noise, their log-density and the target's, gradients, one step. Each contender has processes of its
own. Its memory is the peak of the resident set over what it is with everything imported, so its parameters, gradients
and Adam's moments count too. (Linux only: it reads /proc.) For the time they take turns, and the median counts. The
figure goes to docs/reverse.png.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
from torch_memory import MIB, resident
from updates import milliseconds

import pyinvnets as inv

DEPTHS = (8, 16, 32, 64)
IMAGE, BATCH, HIDDEN = (64, 64, 3), 8, 64
FIGURE = Path(__file__).parents[1] / "docs" / "reverse.png"


def network(K):
    return inv.NetworkGlow(IMAGE[2], HIDDEN, 1, K, split_scales=True, engine="numpy", seed=1)


def reversed_network(K):
    """A function that makes one update."""
    R, rng, optimiser = inv.reverse(network(K), copy=False), np.random.default_rng(0), inv.Adam(1e-4)
    R.spatial = IMAGE[:2]

    def update():
        Z = rng.standard_normal(np.prod(IMAGE) * BATCH, dtype=np.float32)
        X, _ = R.forward(Z)
        R.backward((X - 1) / BATCH, X)
        optimiser.update(R)
        inv.clear_grad(R)

    return update


def flow_module(K):
    import torch

    from pyinvnets.torch import FlowModule

    torch.set_num_threads(1)  # the flow's own are NumPy's
    torch.manual_seed(0)
    flow = FlowModule(network(K))
    optimiser = torch.optim.Adam(flow.parameters(), 1e-4)

    def update():
        optimiser.zero_grad()
        x, log_prob = flow.rsample_and_log_prob(BATCH, spatial=IMAGE[:2])
        loss = (log_prob + (x - 1).square().sum((1, 2, 3)) / 2).mean()
        loss.backward()
        optimiser.step()

    return update


def normflows(K):
    import normflows as nf
    import torch

    warnings.filterwarnings("ignore", message="torch.lu is deprecated")
    torch.manual_seed(0)
    nx, ny, channels = IMAGE
    base = nf.distributions.base.DiagGaussian((4 * channels, nx // 2, ny // 2), trainable=False)
    steps = [nf.flows.GlowBlock(4 * channels, HIDDEN, scale=True) for _ in range(K)]
    model = nf.NormalizingFlow(base, [*steps, nf.flows.Squeeze()], _Gaussian())
    optimiser = torch.optim.Adam(model.parameters(), 1e-4)

    def update():
        optimiser.zero_grad()
        loss = model.reverse_kld(BATCH)
        loss.backward()
        optimiser.step()

    return update


class _Gaussian:
    """The target, as normflows asks for it."""

    def log_prob(self, x):
        return -(x - 1).square().sum((1, 2, 3)) / 2


MODELS = {"reverse": reversed_network, "FlowModule": flow_module, "normflows": normflows}


def peak(model, K):
    """Bytes that two updates, the first of which makes gradients and moments, add to this process at their peak."""
    importlib.import_module("normflows")
    importlib.import_module("pyinvnets.torch")
    torch = importlib.import_module("torch")
    torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    Path("/proc/self/clear_refs").write_text("5")  # lets VmHWM start anew
    start = resident("VmRSS")
    update = MODELS[model](K)
    update()
    update()
    return resident("VmHWM") - start


def peak_elsewhere(model, K):
    """`peak` in a process of its own."""
    command = [sys.executable, "-W", "ignore", __file__, "--peak", model, str(K)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def draw(memory, times):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for i, (name, color) in enumerate(zip(MODELS, ("tab:orange", "tab:blue", "tab:gray"), strict=True)):
        axes[0].plot(DEPTHS, [peaks[i] / MIB for peaks in memory], "o-", color=color, label=name)
        axes[1].plot(DEPTHS, [row[i] / 1e3 for row in times], "o-", color=color, label=name)
    axes[0].set(xlabel="flow steps", ylabel="peak memory, MiB", ylim=0, xticks=DEPTHS)
    axes[1].set(xlabel="flow steps", ylabel="time of an update, s", ylim=0, xticks=DEPTHS)
    axes[0].legend()
    figure.savefig(FIGURE, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30, help="time for each depth (default 30)")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak(arguments.peak[0], int(arguments.peak[1])))
        return
    memory, times = [], []
    print(f"{'K':>3}", *(f"{name:>22}" for name in MODELS))
    for K in DEPTHS:
        memory.append([peak_elsewhere(model, K) for model in MODELS])
        times.append(milliseconds([(make, (K,)) for make in MODELS.values()], arguments.seconds))
        columns = (f"{bytes / MIB:9.0f} MiB {ms:6.0f} ms" for bytes, ms in zip(memory[-1], times[-1], strict=True))
        print(f"{K:3}", *columns, flush=True)
    draw(memory, times)


if __name__ == "__main__":
    main()
