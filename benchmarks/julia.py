"""The Julia engine beside native Julia, in one process and run; it needs a Julia that is ready (see docs/engines.md).

    python benchmarks/julia.py

One update is forward, backward and Adam with Flux's arithmetic. «native» is a loop in Julia itself over upstream's own
methods and Flux's `update!`; «Python, upstream's methods» the same through the proxies; «Python» with the batched
methods of `PyInvNets`. They take turns; each figure is the median.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

import numpy as np
from updates import noise, updating

import pyinvnets as inv
from pyinvnets.engines import julia
from pyinvnets.engines.julia.bridge import description

CASES = {
    "tutorial: 1x1x2, batch 150, L=1, K=10, 16 hidden": ((1, 1, 2, 150), (2, 16, 1, 10), {}),
    "image: 16x16x3, batch 8, L=2, K=4, 32 hidden": ((16, 16, 3, 8), (3, 32, 2, 4), {"split_scales": True}),
    "image: 64x64x3, batch 8, L=2, K=8, 64 hidden": ((64, 64, 3, 8), (3, 64, 2, 8), {"split_scales": True}),
}

NATIVE = """
function (G, X, updates)
    optimiser = Flux.Optimise.Adam(1e-4)
    return @elapsed for _ in 1:updates
        Z, lgdet = G.forward(X)
        G.backward(Z / Float32(size(X)[end]), Z)
        for p in get_params(G)
            Flux.Optimise.update!(optimiser, p.data, p.grad)
        end
        clear_grad!(G)
    end
end
"""

COLD = """
import time
start = time.perf_counter()
import pyinvnets as inv
G = inv.NetworkGlow(2, 16, 1, 10, engine="julia", seed=1)
X = inv.sample_banana(150, seed=1, engine="julia")
Z, lgdet = G.forward(X)
G.backward(Z / 150, Z)
print(time.perf_counter() - start)
"""


def made(case):
    shape, arguments, options = case
    G = inv.NetworkGlow(*arguments, **options, engine="julia", seed=1)
    X = noise(shape)
    G.forward(X)
    return G, X


def python_seconds(G, X, updates):
    update = updating(G, X)
    start = time.perf_counter()
    for _ in range(updates):
        update()
    return time.perf_counter() - start


def updates_table(bridge):
    native = bridge.seval(NATIVE)
    print(f"{'one update':50}{'native':>12}{'Python, upstream':>18}{'Python':>12}{'':>4}ratios to native")
    for name, case in CASES.items():
        G, X = made(case)
        X_julia = bridge.seval("copy")(julia.start().borrowed(X))
        count = 20 if X.shape[0] == 1 else 2
        runs = {
            "native": (False, lambda n, G=G, X=X_julia: native(G.julia, X, n)),
            "upstream": (False, lambda n, G=G, X=X: python_seconds(G, X, n)),
            "fast": (True, lambda n, G=G, X=X: python_seconds(G, X, n)),
        }
        times = {key: [] for key in runs}
        for repeat in range(10):
            for key, (fast, run) in runs.items():
                julia.init(fast=fast)
                seconds = run(count)
                if repeat:
                    times[key].append(1e3 * seconds / count)
        medians = {key: statistics.median(values) for key, values in times.items()}
        ratios = [medians["native"] / medians[key] for key in ("upstream", "fast")]
        print(
            f"{name:50}{medians['native']:9.2f} ms{medians['upstream']:15.2f} ms{medians['fast']:9.2f} ms"
            f"{ratios[0]:8.2f}{ratios[1]:8.2f}",
            flush=True,
        )


def crossing_table(bridge):
    """What a call costs beside the arithmetic: an array there, wrapped, and back as a view."""
    mirror = bridge.seval("(double, description) -> borrow_one(double, description)")
    print(f"\n{'an array to Julia and back':50}{'microseconds':>14}")
    for megabytes in (0.001, 1, 64):
        X = np.zeros((int(megabytes * 2**18), 1), np.float32, order="F")

        def cross(X=X):
            described = description((X,))
            return np.asarray(mirror(False, described.ctypes.data))

        assert cross().ctypes.data == X.ctypes.data
        times = []
        for _ in range(5):
            start = time.perf_counter()
            for _ in range(2000):
                cross()
            times.append((time.perf_counter() - start) / 2000 * 1e6)
        print(f"{f'{megabytes:g} MiB':50}{statistics.median(times):11.1f}")


def cold_start():
    command = [sys.executable, "-c", COLD]
    seconds = [
        float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) for _ in range(3)
    ]
    print(f"\nfrom import pyinvnets to the first gradient, in a fresh process: {statistics.median(seconds):.1f} s")


def main():
    bridge = julia.start().bridge
    updates_table(bridge)
    crossing_table(bridge)
    cold_start()


if __name__ == "__main__":
    main()
