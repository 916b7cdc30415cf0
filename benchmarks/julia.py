"""The Julia engine beside native Julia, the NumPy engine and PyTorch's normflows; it needs a Julia that is ready (see
docs/engines.md).

    pip install '.[benchmark]' && python benchmarks/julia.py

One update is forward, backward and Adam, in float32. «native» is a loop in Julia itself over upstream's own methods and
Flux's `update!`. Each contender is a process of its own, with all the cores that it wants or with one; they take turns,
and each figure is the median. Beside the times are the memory that Julia allocates in an update, and how far the
gradient of all parameters is from native Julia's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

import numpy as np
from updates import milliseconds, noise, normflows, updating

import pyinvnets as inv

CONDITIONAL = "conditional GLOW: 64x64x3 given 3, batch 8, L=2, K=4, 64 hidden"
HINT = "HINT: 32x32x8, batch 8, K=4, 32 hidden, kernels of 3"

# The network, the shapes of what it takes, and what normflows has that is like it.
CASES = {
    "tutorial: 1x1x2, batch 150, L=1, K=10, 16 hidden": ("NetworkGlow", (2, 16, 1, 10), {}, ((1, 1, 2, 150),), 16),
    "16x16x3, batch 8, L=2, K=4, 32 hidden": (
        "NetworkGlow",
        (3, 32, 2, 4),
        {"split_scales": True},
        ((16, 16, 3, 8),),
        32,
    ),
    "64x64x3, batch 8, L=2, K=8, 64 hidden": (
        "NetworkGlow",
        (3, 64, 2, 8),
        {"split_scales": True},
        ((64, 64, 3, 8),),
        64,
    ),
    "128x128x3, batch 4, L=2, K=8, 64 hidden": (
        "NetworkGlow",
        (3, 64, 2, 8),
        {"split_scales": True},
        ((128, 128, 3, 4),),
        64,
    ),
    CONDITIONAL: ("NetworkConditionalGlow", (3, 3, 64, 2, 4), {"split_scales": True}, ((64, 64, 3, 8),) * 2, None),
    HINT: ("NetworkConditionalHINT", (8, 32, 4), {}, ((32, 32, 8, 8),) * 2, None),
}

NATIVE = """
function (G, inputs, updates)
    inputs = Array{Float32}[copy(x) for x in inputs]
    optimiser = Flux.Optimise.Adam(1e-4)
    return @elapsed for _ in 1:updates
        outputs = G.forward(inputs...)
        lanes = outputs[1:(end-1)]
        residuals = length(lanes) == 2 && !(G isa NetworkConditionalGlow) ? lanes : lanes[1:1]
        G.backward((Z / Float32(size(Z)[end]) for Z in residuals)..., lanes...)
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


def made(case, engine):
    kind, arguments, options, shapes, _ = CASES[case]
    G = getattr(inv, kind)(*arguments, **options, engine=engine, seed=1)
    arrays = [noise(shape) for shape in shapes]
    G.forward(*arrays)
    return G, arrays


def propagated(G, arrays):
    *outputs, _ = G.forward(*arrays)
    residuals = outputs[:1] if isinstance(G, inv.NetworkConditionalGlow) else outputs
    G.backward(*(Z / arrays[0].shape[-1] for Z in residuals), *outputs)


def update_of(G, arrays):
    if len(arrays) == 1:
        return updating(G, *arrays)
    opt = inv.Adam(1e-4)

    def update():
        propagated(G, arrays)
        opt.update(G)
        inv.clear_grad(G)

    return update


def on_julia(case, threads):
    inv.init(threads=threads)
    return update_of(*made(case, "julia"))


def on_numpy(case, threads):
    inv.set_num_threads(threads)
    return update_of(*made(case, "numpy"))


def in_torch(case, threads):
    import torch

    torch.set_num_threads(threads)
    _, (_, _, L, K), _, (shape,), n_hidden = CASES[case]
    return normflows(shape, n_hidden, L, K)


def natively(case, threads):
    """With as many threads as OpenBLAS wants, where it may have several."""
    from pyinvnets.engines import julia

    inv.init(threads=threads, fast=False)
    G, arrays = made(case, "julia")
    bridge = julia.start().bridge
    if threads == 1:
        bridge.seval("() -> LinearAlgebra.BLAS.set_num_threads(1)")()
    borrowed = [bridge.seval("copy")(julia.start().borrowed(X)) for X in arrays]
    native = bridge.seval(NATIVE)
    return lambda: native(G.julia, borrowed, 1)


def gradient(case, fast):
    """Of all parameters, after one forward and backward; and the megabytes that Julia allocates meanwhile."""
    from pyinvnets.engines import julia

    inv.init(fast=fast)
    G, arrays = made(case, "julia")
    propagated(G, arrays)
    allocated = julia.start().bridge.seval("() -> Base.gc_bytes()")
    inv.clear_grad(G)
    before = allocated()
    propagated(G, arrays)
    megabytes = (allocated() - before) / 1e6
    return np.concatenate([np.asarray(p.grad).ravel(order="F") for p in inv.get_params(G)]), megabytes


def table(cases, seconds, threads):
    print(f"{threads} thread{'s' * (threads > 1)}, milliseconds an update")
    columns = ("native Julia", "Julia engine", "NumPy engine", "normflows")
    print(f"{'':66}" + "".join(f"{column:>14}" for column in columns) + f"{'native/ours':>14}{'normflows/ours':>16}")
    for case in cases:
        contenders = [(make, (case, threads)) for make in (natively, on_julia, on_numpy)]
        if CASES[case][-1] is not None:
            contenders.append((in_torch, (case, threads)))
        times = milliseconds(contenders, seconds)
        cells = "".join(f"{value:14.2f}" for value in times).ljust(14 * 4)
        theirs = f"{times[3] / times[1]:16.2f}" if len(times) == 4 else ""
        print(f"{case:66}{cells}{times[0] / times[1]:14.2f}{theirs}", flush=True)


def memory_table(cases):
    print(f"\n{'':66}{'allocated by native':>20}{'by the engine':>15}{'ratio':>7}{'gradient off by':>17}")
    for case in cases:
        (native, much), (fast, little) = gradient(case, False), gradient(case, True)
        off = np.linalg.norm(fast - native) / np.linalg.norm(native)
        print(f"{case:66}{much:17.1f} MB{little:12.1f} MB{much / little:7.1f}{off:17.1e}", flush=True)


def crossing_table():
    """What a call costs beside the arithmetic: an array there, wrapped, and back as a view."""
    from pyinvnets.engines import julia
    from pyinvnets.engines.julia.bridge import description

    mirror = julia.start().bridge.seval("(double, description) -> borrow_one(double, description)")
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="time for each case (default 20)")
    parser.add_argument("--case", default="", help="those whose name has this in it (default all)")
    options = parser.parse_args()
    cases = [case for case in CASES if options.case in case]
    for threads in (1, os.cpu_count() or 1):
        table(cases, options.seconds, threads)
    memory_table(cases)
    crossing_table()
    cold_start()


if __name__ == "__main__":
    main()
