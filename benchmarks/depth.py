"""GLOW over depth: how true its gradient is, and what an update takes in memory and time, beside normflows.

    pip install '.[benchmark]' && OPENBLAS_NUM_THREADS=1 python benchmarks/depth.py --figure docs/depth.png

Networks of two scales in float32 with upstream's initial weights, unless `--start` says otherwise, on noise or on
smooth images. A gradient is compared with that of the same weights in float64, of which ours keeps every state, as
PyTorch does: the relative error of all parameters' gradients together, and the cosine between the two. Each point has
a process of its own. Memory is the peak of the resident set over what it is with everything imported, with parameters,
gradients and Adam moments. (Linux only: it reads /proc.) The time is the processor's, of one thread, the least of a few
updates.

    python benchmarks/depth.py --limit 1500

gives each contender so many MiB of address space beyond what its imports take, and says how many steps it can train.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import resource
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np

MIB = 2**20
OURS = {"auto": "auto", "every": 1, "none": None}
LABELS = {"auto": "pyinvnets", "none": "pyinvnets without anchors", "normflows": "normflows"}


def images(kind, size, batch):
    """Shape (size, size, 3, batch): Gaussian noise, or sums of a few waves."""
    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.standard_normal((batch, 3, size, size), dtype=np.float32).T
    x, y = np.meshgrid(*[np.linspace(0, 3, size)] * 2, indexing="ij")
    waves = rng.uniform(-4, 4, (batch, 3, 4, 3))
    smooth = np.sin(waves[..., 0, None, None] * x + waves[..., 1, None, None] * y + waves[..., 2, None, None]).sum(2)
    return (smooth + 1e-3 * rng.standard_normal(smooth.shape)).astype(np.float32).T


class Ours:
    def __init__(self, anchors, X, hidden, K, engine, start):
        import pyinvnets as inv

        self.inv, self.X = inv, X
        activation = {"sigmoid2": {"activation": inv.Sigmoid2Layer()}}.get(start, {})
        self.G = inv.NetworkGlow(3, hidden, 2, K, split_scales=True, engine=engine, seed=1, **activation)
        if start == "identity":
            inv.begin_near_identity(self.G)
        self.G.anchors = OURS[anchors]
        self.optimiser = inv.Adam(1e-6)
        self.G.forward(X)

    def gradient(self):
        self.inv.clear_grad(self.G)
        Z, _ = self.G.forward(self.X)
        self.G.backward(Z / self.X.shape[-1], Z)

    def update(self):
        self.gradient()
        self.optimiser.update(self.G)

    def vector(self):
        self.gradient()
        return np.concatenate([p.grad.ravel().astype(np.float64) for p in self.inv.get_params(self.G)])

    def exact(self):
        other = copy.copy(self)
        other.G, other.X = copy.deepcopy(self.G).astype(np.float64), np.asfortranarray(self.X.astype(np.float64))
        other.G.anchors = 1
        return other.vector()

    def more(self):
        return {"drift": self.G.drift, "anchors": self.G.model.anchors.size, "spacing": self.G.model.anchors.spacing}


class Normflows:
    def __init__(self, X, hidden, K):
        import torch
        from updates import multiscale_glow

        torch.manual_seed(0)
        warnings.filterwarnings("ignore", message="torch.lu is deprecated")
        self.torch = torch
        self.model = multiscale_glow(X.shape[:3], hidden, 2, K, trainable=False)
        self.X = torch.from_numpy(X.T.copy())
        self.optimiser = torch.optim.Adam(self.model.parameters(), 1e-6)
        self.model.forward_kld(self.X)

    def gradient(self):
        self.optimiser.zero_grad()
        self.model.forward_kld(self.X).backward()

    def update(self):
        self.gradient()
        self.optimiser.step()

    def vector(self):
        self.gradient()
        gradients = [p.grad.flatten().double() for p in self.model.parameters() if p.grad is not None]
        return self.torch.cat(gradients).numpy()

    def exact(self):
        other = copy.copy(self)
        other.model, other.X = copy.deepcopy(self.model).double(), self.X.double()
        other.optimiser = self.torch.optim.Adam(other.model.parameters(), 1e-6)
        return other.vector()

    def more(self):
        return {}


def make(given):
    X = images(given["images"], given["size"], given["batch"])
    if given["name"] == "normflows":
        return Normflows(X, given["hidden"], given["K"])
    return Ours(given["name"], X, given["hidden"], given["K"], given["engine"], given["start"])


def resident(what):
    """Bytes of the resident set: `VmRSS` now, `VmHWM` at its peak."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"{what}:\s*(\d+) kB", status)[1])


def point(given):
    """What one contender takes at one depth."""
    warnings.simplefilter("ignore", RuntimeWarning)
    name = given["name"]
    if name == "normflows":
        import torch

        torch.set_num_threads(1)
    else:
        import pyinvnets as inv

        inv.set_num_threads(1)
    make(
        given | {"size": 8, "batch": 2, "hidden": 4, "K": 1}
    ).update()  # What is imported or compiled is no part of it.
    if given.get("limit"):
        size = 1024 * int(re.search(r"VmSize:\s*(\d+) kB", Path("/proc/self/status").read_text())[1])
        resource.setrlimit(resource.RLIMIT_AS, (size + given["limit"] * MIB,) * 2)
    Path("/proc/self/clear_refs").write_text("5")  # lets VmHWM start anew
    before = resident("VmRSS")
    contender = make(given)
    seconds = []
    for _ in range(given["updates"]):
        begin = time.process_time()
        contender.update()
        seconds.append(time.process_time() - begin)
    found = {"memory": resident("VmHWM") - before, "seconds": min(seconds[1:] or seconds)} | contender.more()
    if given["gradients"]:
        got = contender.vector()
        true = contender.exact()
        norms = np.linalg.norm(got), np.linalg.norm(true)
        found |= {"error": np.linalg.norm(got - true) / norms[1], "cosine": got @ true / norms[0] / norms[1]}
    return found


def elsewhere(**given):
    """`point` in a process of its own; `None` where its memory did not suffice."""
    command = [sys.executable, "-W", "ignore", __file__, "--point", json.dumps(given)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    if given.get("limit") and any(word in done.stderr for word in ("MemoryError", "not enough memory", "alloc")):
        return None
    raise RuntimeError(done.stderr)


def draw(found, figure_path, title):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), layout="constrained")
    colors = {"auto": "tab:blue", "none": "tab:red", "normflows": "tab:gray"}
    panels = (
        ("memory", "peak memory, MiB"),
        ("seconds", "an update, s of one thread"),
        ("error", "relative error of the gradient"),
    )
    for ax, (what, label) in zip(axes, panels, strict=True):
        for name, shown in LABELS.items():
            points = [(steps, row[what]) for (each, steps), row in found.items() if each == name and row]
            if points:
                steps, values = np.array(sorted(points)).T
                ax.plot(steps, values / MIB if what == "memory" else values, "o-", color=colors[name], label=shown)
        ax.set(xlabel="flow steps", ylabel=label)
        if what == "error":
            ax.set(yscale="log")
        else:
            ax.set_ylim(bottom=0)
    axes[0].legend()
    figure.suptitle(title, fontsize="medium")
    figure.savefig(figure_path, dpi=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64, help="pixels along each axis (default 64)")
    parser.add_argument("--batch", type=int, default=8, help="images (default 8)")
    parser.add_argument("--hidden", type=int, default=64, help="hidden channels (default 64)")
    parser.add_argument("--images", choices=("noise", "smooth"), default="noise")
    parser.add_argument("--engine", choices=("numpy", "julia"), default="numpy")
    parser.add_argument("--start", choices=("upstream", "sigmoid2", "identity"), default="upstream")
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 16, 48, 128], help="steps in each of two scales")
    parser.add_argument("--contenders", nargs="+", default=["auto", "every", "none", "normflows"])
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--no-gradients", action="store_true", help="leave the comparison with 64 bits out")
    parser.add_argument("--limit", type=int, help="MiB of address space")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(point(json.loads(arguments.point))))
        return
    names = ("size", "batch", "hidden", "images", "engine", "start", "updates", "limit")
    given = {name: getattr(arguments, name) for name in names}
    given["gradients"] = not (arguments.no_gradients or arguments.limit)
    print(f"{'steps':>6} {'':>9} {'error':>9} {'cosine':>9} {'drift':>8} {'apart':>6} {'memory':>10} {'update':>9}")
    found = {}
    for K in arguments.depths:
        for name in arguments.contenders:
            found[name, 2 * K] = row = elsewhere(name=name, K=K, **given)
            if row is None:
                print(f"{2 * K:6} {name:>9} does not fit", flush=True)
                continue
            error, cosine = (row.get(what, np.nan) for what in ("error", "cosine"))
            drift, spacing = row.get("drift") or np.nan, row.get("spacing", 0) if name != "none" else 0
            print(
                f"{2 * K:6} {name:>9} {error:9.1e} {cosine:9.6f} {drift:8.1e} {spacing:6} "
                f"{row['memory'] / MIB:6.0f} MiB {row['seconds']:7.3f} s",
                flush=True,
            )
    if arguments.figure:
        size, batch = arguments.size, arguments.batch
        draw(found, arguments.figure, f"GLOW on {size}×{size}×3, batch {batch}, float32")


if __name__ == "__main__":
    main()
