"""Peak memory of training the network of examples/tomography.ipynb over depth, and of the same layers in PyTorch.

    pip install '.[benchmark]' && python benchmarks/tomography.py

One update of maximum likelihood by Adam, in float32 on the CPU, at 64x64 and 128x128, batch 16. PyTorch's autograd
keeps what the layers compute. Each has processes of its own; see `torch_memory.py` for what is measured.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
from torch_memory import MIB, resident

DEPTHS = (6, 12, 24)
SIZES = (64, 128)
HIDDEN, SCALES, BATCH = 32, 3, 16


def pairs(size):
    rng = np.random.default_rng(0)
    return [rng.standard_normal((BATCH, 1, size, size), dtype=np.float32) for _ in range(2)]


def ours(size, K):
    """A function that makes one update."""
    import pyinvnets as inv

    x, c = (array.T for array in pairs(size))
    G = inv.NetworkConditionalGlow(
        1, 1, HIDDEN, SCALES, K, split_scales=True, activation=inv.ExpClampLayer(), engine="numpy", seed=1
    )
    optimiser = inv.Adam(1e-4)

    def update():
        Z, Zc, _ = G.forward(x, c)
        G.backward(Z / BATCH, Z, Zc)
        optimiser.update(G)
        inv.clear_grad(G)

    return update


def pytorch(size, K):
    import torch
    from torch import nn
    from torch.nn.functional import conv2d, pixel_unshuffle

    class Step(nn.Module):
        """ActNorm, 1x1 convolution by three reflections, and an affine coupling that sees the condition."""

        def __init__(self, channels, condition):
            super().__init__()
            self.changed = channels // 2
            self.scale, self.bias = (nn.Parameter(torch.ones(channels, 1, 1)) for _ in range(2))
            self.reflections = nn.Parameter(torch.randn(3, channels))
            self.first = nn.Conv2d(channels - self.changed + condition, HIDDEN, 3, padding=1)
            self.second = nn.Conv2d(HIDDEN, HIDDEN, 1)
            self.third = nn.ConvTranspose2d(HIDDEN, 2 * self.changed, 3, padding=1, bias=False)

        def forward(self, x, c):
            logdet = self.scale.abs().log().sum() * x[0, 0].numel()
            x = self.scale * x + self.bias
            matrix = torch.eye(len(self.scale))
            for v in self.reflections:
                matrix = matrix - 2 * torch.outer(matrix @ v, v) / (v @ v)
            x = conv2d(x, matrix[:, :, None, None])
            x1, x2 = x[:, : self.changed], x[:, self.changed :]
            hidden = torch.relu(self.first(torch.cat((x2, c), 1)))
            hidden = torch.relu(self.second(hidden) + hidden)
            scale, shift = torch.relu(self.third(hidden)).chunk(2, 1)
            log_scale = 2 * 0.636 * torch.atan(scale)
            x1 = log_scale.exp() * x1 + shift
            return torch.cat((x1, x2), 1), logdet + log_scale.sum((1, 2, 3))

    x, c = map(torch.from_numpy, pairs(size))
    channels, condition, steps = 1, 1, nn.ModuleList()
    for _ in range(SCALES):
        channels, condition = 4 * channels, 4 * condition
        steps.extend(Step(channels, condition) for _ in range(K))
        channels //= 2
    optimiser = torch.optim.Adam(steps.parameters(), 1e-4)

    def objective():
        z, given, total = x, c, 0.0
        for i in range(SCALES):
            z, given = pixel_unshuffle(z, 2), pixel_unshuffle(given, 2)
            for step in steps[i * K : (i + 1) * K]:
                z, logdet = step(z, given)
                total = total - logdet
            z, left = z.chunk(2, 1) if i + 1 < SCALES else (z, z)
            total = total + left.square().sum((1, 2, 3)) / 2
        return total.mean()

    def update():
        optimiser.zero_grad()
        objective().backward()
        optimiser.step()

    return update


MODELS = {"NumPy engine": ours, "PyTorch": pytorch}


def peak(model, size, K):
    """Bytes that two updates, the first of which makes gradients and moments, add to this process at their peak."""
    importlib.import_module("pyinvnets")
    torch = importlib.import_module("torch")
    torch.nn.functional.conv2d(torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    Path("/proc/self/clear_refs").write_text("5")  # lets VmHWM start anew
    start = resident("VmRSS")
    update = MODELS[model](size, K)
    update()
    update()
    return resident("VmHWM") - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        model, *numbers = arguments.peak
        print(peak(model, *map(int, numbers)))
        return
    print(f"{'size':>7} {'K':>3} {'NumPy engine':>16} {'PyTorch':>12} {'ratio':>6}")
    for size in SIZES:
        for K in DEPTHS:
            command = [sys.executable, "-W", "ignore", __file__, "--peak"]
            found = [
                int(subprocess.run([*command, model, str(size), str(K)], capture_output=True, check=True).stdout)
                for model in MODELS
            ]
            mib = [f"{bytes_ / MIB:8.0f} MiB" for bytes_ in found]
            print(f"{size:4}x{size} {K:2} {mib[0]:>16} {mib[1]:>12} {found[1] / found[0]:6.1f}", flush=True)


if __name__ == "__main__":
    main()
