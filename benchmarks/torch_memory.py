"""Peak memory and time of one PyTorch training step over depth: FlowModule on the NumPy engine, and normflows' Glow.

    pip install '.[benchmark]' && python benchmarks/torch_memory.py

Both train a flow of like size by maximum likelihood with torch.optim.Adam, in float32 on the CPU. Each model has
processes of its own. Its memory is the peak of the resident set over what it is with everything imported, so its
parameters, gradients and Adam moments count too. (Linux only: it reads /proc.) For the time both take turns, and the
median counts. The figure, of the memory, goes to docs/torch_memory.png.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

from updates import milliseconds, normflows

DEPTHS = (4, 8, 16, 32, 48)
SHAPE, HIDDEN, SCALES = (64, 64, 3, 8), 64, 2
FIGURE = Path(__file__).parents[1] / "docs" / "torch_memory.png"
MIB = 2**20


def flow_module(K):
    """A function that makes one update, as one writes it in PyTorch."""
    import torch

    import pyinvnets as inv
    from pyinvnets.torch import FlowModule

    torch.set_num_threads(1)  # the flow's own are NumPy's
    flow = FlowModule(inv.NetworkGlow(SHAPE[2], HIDDEN, SCALES, K, split_scales=True, engine="numpy", seed=1))
    optimiser = torch.optim.Adam(flow.parameters(), 1e-4)
    torch.manual_seed(0)
    x = torch.randn(SHAPE[::-1])

    def update():
        optimiser.zero_grad()
        loss = -flow.log_prob(x).mean()
        loss.backward()
        optimiser.step()

    return update


def glow(K):
    return normflows(SHAPE, HIDDEN, SCALES, K)


MODELS = {"FlowModule": flow_module, "normflows": glow}


def resident(what):
    """Bytes of the resident set: `VmRSS` now, `VmHWM` at its peak."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{what}:\s*(\d+) kB", status)[1])


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


def draw(memory):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(5.5, 3.4), layout="constrained")
    for i, (name, color) in enumerate(zip(MODELS, ("tab:orange", "tab:gray"), strict=True)):
        ax.plot(DEPTHS, [peaks[i] / MIB for peaks in memory], "o-", color=color, label=name)
    ax.set(xlabel="flow steps at each of two scales", ylabel="peak memory of training, MiB", ylim=0, xticks=DEPTHS)
    ax.legend()
    figure.savefig(FIGURE, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="time for each depth (default 20)")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print(peak(arguments.peak[0], int(arguments.peak[1])))
        return
    memory = []
    print(f"{'K':>3} {'FlowModule':>22} {'normflows':>22} {'memory':>9} {'time':>6}  (normflows / FlowModule)")
    for K in DEPTHS:
        memory.append([peak_elsewhere(model, K) for model in MODELS])
        ours, theirs = memory[-1]
        our_time, their_time = milliseconds([(make, (K,)) for make in MODELS.values()], arguments.seconds)
        columns = f"{ours / MIB:8.0f} MiB {our_time:6.0f} ms {theirs / MIB:8.0f} MiB {their_time:6.0f} ms"
        print(f"{K:3} {columns} {theirs / ours:9.1f} {their_time / our_time:6.2f}", flush=True)
    draw(memory)


if __name__ == "__main__":
    main()
