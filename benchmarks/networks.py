"""Time of forward and backward of each layer and network, on both engines and in native Julia, in one process and run.

    python benchmarks/networks.py

It needs a Julia that is ready (see docs/engines.md); the network sizes are small, so that all of it takes some minutes.
«native» is a loop in Julia itself over upstream's own methods; the engines are called from Python, Julia's with its
batched methods. They take turns; each figure is the median, in float32.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

import pyinvnets as inv
from pyinvnets.engines import julia

IMAGE = (16, 16, 4, 8)
CONDITION = (16, 16, 2, 8)
N_HIDDEN = 16

# How each is made, the shapes of what goes in, how many results of `forward` have a gradient.
CASES = {
    "ActNorm": (lambda **kw: inv.ActNorm(4, logdet=True, **kw), (IMAGE,), 1),
    "AffineLayer": (lambda **kw: inv.AffineLayer(16, 16, 4, logdet=True, **kw), (IMAGE,), 1),
    "Conv1x1": (lambda **kw: inv.Conv1x1(4, **kw), (IMAGE,), 1),
    "ResidualBlock": (lambda **kw: inv.ResidualBlock(4, N_HIDDEN, **kw), (IMAGE,), 1),
    "CouplingLayerBasic": (lambda **kw: inv.CouplingLayerBasic(4, N_HIDDEN, logdet=True, **kw), (IMAGE, IMAGE), 2),
    "CouplingLayerGlow": (lambda **kw: inv.CouplingLayerGlow(4, N_HIDDEN, logdet=True, **kw), (IMAGE,), 1),
    "CouplingLayerHINT": (lambda **kw: inv.CouplingLayerHINT(4, N_HIDDEN, logdet=True, **kw), (IMAGE,), 1),
    "CouplingLayerIRIM": (lambda **kw: inv.CouplingLayerIRIM(4, N_HIDDEN, **kw), (IMAGE,), 1),
    "HyperbolicLayer": (lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, **kw), (IMAGE, IMAGE), 2),
    "ConditionalLayerGlow": (
        lambda **kw: inv.ConditionalLayerGlow(4, 2, N_HIDDEN, logdet=True, **kw),
        (IMAGE, CONDITION),
        1,
    ),
    "ConditionalLayerHINT": (lambda **kw: inv.ConditionalLayerHINT(4, N_HIDDEN, **kw), (IMAGE, IMAGE), 2),
    "ConditionalResidualBlock": (
        lambda **kw: inv.ConditionalResidualBlock(16, 16, 4, 8, 8, 1, N_HIDDEN, 8, **kw),
        (IMAGE, (8, 8, 1, 8)),
        2,
    ),
    "NetworkGlow": (lambda **kw: inv.NetworkGlow(4, N_HIDDEN, 2, 4, **kw), (IMAGE,), 1),
    "NetworkConditionalGlow": (
        lambda **kw: inv.NetworkConditionalGlow(4, 2, N_HIDDEN, 2, 4, **kw),
        (IMAGE, CONDITION),
        1,
    ),
    "NetworkConditionalHINT": (lambda **kw: inv.NetworkConditionalHINT(4, N_HIDDEN, 4, **kw), (IMAGE, IMAGE), 2),
    "NetworkMultiScaleHINT": (lambda **kw: inv.NetworkMultiScaleHINT(1, N_HIDDEN, 2, 2, **kw), ((16, 16, 1, 8),), 1),
    "NetworkMultiScaleConditionalHINT": (
        lambda **kw: inv.NetworkMultiScaleConditionalHINT(1, N_HIDDEN, 1, 2, **kw),
        ((16, 16, 1, 8),) * 2,
        2,
    ),
    "NetworkHyperbolic": (
        lambda **kw: inv.NetworkHyperbolic(4, ((0, 8), (-1, 8), (1, 4)), **kw),
        (IMAGE, IMAGE),
        2,
    ),
}

# `from_inputs`: a residual block's backward takes the inputs. `condition`: this layer's takes the condition.
NATIVE = """
function (net, inputs, counted, from_inputs, condition, repeats)
    inputs = Array{Float32}[copy(x) for x in inputs]
    lone(mode, arguments...) = PyInvNets.propagate(net, mode, arguments...)
    return @elapsed for _ in 1:repeats
        results = lone(:forward, inputs...)
        outputs = results isa Tuple ? Array[r for r in results if r isa Array] : Array[results]
        states = from_inputs ? inputs : condition ? Array[outputs[1], inputs[2]] : outputs
        lone(:backward, outputs[1:counted]..., states...)
    end
end
"""


def traits(network):
    """Whether `backward` takes the inputs of `forward`, and whether it takes the condition given to it."""
    block = isinstance(network, (inv.ResidualBlock, inv.ConditionalResidualBlock))
    return block, isinstance(network, inv.ConditionalLayerGlow)


def python_seconds(network, inputs, counted, repeats):
    from_inputs, condition = traits(network)
    start = time.perf_counter()
    for _ in range(repeats):
        results = network.forward(*inputs)
        results = results if isinstance(results, tuple) else (results,)
        outputs = [r for r in results if isinstance(r, np.ndarray)]
        states = inputs if from_inputs else [outputs[0], inputs[1]] if condition else outputs
        network.backward(*outputs[:counted], *states)
    return time.perf_counter() - start


def runs_of(native, case):
    """What to time, by name: whether the batched methods are on, and a function of the number of repeats."""
    make, shapes, counted = case
    rng = np.random.default_rng(0)
    inputs = [np.asfortranarray(rng.standard_normal(shape, dtype=np.float32)) for shape in shapes]
    of_julia, of_numpy = make(engine="julia", seed=1), make(engine="numpy", seed=1)
    of_julia.forward(*inputs)
    borrowed = [julia.start().borrowed(x) for x in inputs]
    return {
        "native": (False, lambda n: native(of_julia.julia, borrowed, counted, *traits(of_julia), n)),
        "julia": (True, lambda n: python_seconds(of_julia, inputs, counted, n)),
        "numpy": (True, lambda n: python_seconds(of_numpy, inputs, counted, n)),
    }


def milliseconds(runs, turns):
    """The median of each, taking turns; the first turn compiles and finds how many repeats take a few milliseconds."""
    repeats, times = {}, {name: [] for name in runs}
    for turn in range(turns + 2):
        for name, (fast, run) in runs.items():
            julia.init(fast=fast)
            if turn == 0:
                run(1)
                repeats[name] = max(1, round(0.02 / run(1)))
            elif (seconds := run(repeats[name])) and turn > 1:
                times[name].append(1e3 * seconds / repeats[name])
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, default=9, help="of which the median is taken (default 9)")
    parser.add_argument("--only", choices=CASES, metavar="NAME", help="one layer or network")
    options = parser.parse_args()
    julia.start()
    import juliacall

    native = juliacall.Main.seval(f"import PyInvNets; {NATIVE}")
    print(f"{'forward and backward':34}{'native':>11}{'Julia':>11}{'NumPy':>11}{'':>4}ratios to native")
    for name in [options.only] if options.only else CASES:
        medians = milliseconds(runs_of(native, CASES[name]), options.turns)
        cells = "".join(f"{medians[key]:8.2f} ms" for key in ("native", "julia", "numpy"))
        ratios = "".join(f"{medians['native'] / medians[key]:8.2f}" for key in ("julia", "numpy"))
        print(f"{name:34}{cells}    {ratios}", flush=True)


if __name__ == "__main__":
    main()
