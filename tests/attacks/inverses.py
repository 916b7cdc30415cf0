"""Networks of any options, run the other way: the inverse, its log-determinant and its gradients against differences,
and the two engines against each other.

`python -m tests.attacks.inverses --tries 1000` makes so many networks on the NumPy engine, of every kind in turn, and
ends with a table and exit status 1 where one failed; `--engine julia` makes them on both and compares. A failure is
made again by `--kind KIND --first NUMBER --tries 1`, with the same `--seed`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import pyinvnets as inv
from pyinvnets.validation import mathematics
from pyinvnets.validation.cases import SHARED, Case, ReversedCase, Run

DRAWS = 3
"""Of inputs, of which one must do: a kink of a ReLU within a difference spoils it, a wrong derivative all."""

STEPS = 10.0 ** -np.arange(5.5, 7.1, 0.5)
"""Small, so that few kinks are crossed on the way."""


# Networks


class Drawn:
    """Random options from a generator."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high + 1))

    def one(self, *values: Any) -> Any:
        return values[self.number(0, len(values) - 1)]

    def flag(self) -> bool:
        return self.one(True, False)

    def scale(self) -> Any:
        return self.one(inv.SigmoidLayer(), inv.SigmoidLayer(0.5, 2.0), inv.Sigmoid2Layer(), inv.ExpClampLayer())

    def squeezer(self) -> Any:
        return self.one(
            inv.HaarLayer(), inv.WaveletLayer(), *map(inv.ShuffleLayer, ("column", "patch", "checkerboard"))
        )

    def block(self, ndims: int) -> dict[str, Any]:
        k1, p1, s1 = self.one((3, 1, 1), (1, 0, 1), (2, 0, 2), (5, 2, 1), (3, 0, 1))
        k2 = self.one(1, 3)
        return {"k1": k1, "p1": p1, "s1": s1, "k2": k2, "p2": (k2 - 1) // 2, "ndims": ndims}

    def size(self, ndims: int, factor: int = 1, least: int = 1) -> tuple[int, ...]:
        return tuple(factor * self.number(least, least + 1) for _ in range(ndims))

    def samples(self) -> int:
        return self.number(2, 3)


def least(block: dict[str, Any]) -> int:
    return max(1, block["k1"] - 2 * block["p1"])


def actnorm(d: Drawn) -> Case:
    k = d.number(1, 4)
    return Case(lambda **kw: inv.ActNorm(k, logdet=True, **kw), ((*d.size(d.number(1, 3), least=2), k, d.samples()),))


def affine(d: Drawn) -> Case:
    shape = (d.number(1, 3), d.number(1, 3), d.number(1, 3))
    return Case(lambda **kw: inv.AffineLayer(*shape, logdet=True, **kw), ((*shape, d.samples()),))


def conv1x1(d: Drawn) -> Case:
    k, options = d.number(2, 5), {"freeze": d.flag(), "logdet": d.flag()}
    return Case(lambda **kw: inv.Conv1x1(k, **options, **kw), ((*d.size(d.number(1, 3)), k, d.samples()),))


def coupling_basic(d: Drawn) -> Case:
    n, ndims = d.number(1, 3), d.number(1, 3)
    options = {**d.block(ndims), "activation": d.scale(), "logdet": True}
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    hidden = d.number(1, 4)
    return Case(lambda **kw: inv.CouplingLayerBasic(n, hidden, **options, **kw), (shape, shape))


def coupling_glow(d: Drawn) -> Case:
    n, ndims, hidden = d.number(2, 5), d.number(1, 3), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "logdet": True, "freeze_conv": d.flag()}
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    return Case(lambda **kw: inv.CouplingLayerGlow(n, hidden, **options, **kw), (shape,))


def conditional_layer_glow(d: Drawn) -> Case:
    n, c, ndims, hidden = d.number(2, 5), d.number(1, 3), d.number(1, 3), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "logdet": True, "freeze_conv": d.flag()}
    options["rb_activation"] = d.one(inv.ReLUlayer(), inv.LeakyReLUlayer())
    size, samples = d.size(ndims, least=least(options)), d.samples()
    shapes = ((*size, n, samples), (*size, c, samples))
    return Case(lambda **kw: inv.ConditionalLayerGlow(n, c, hidden, **options, **kw), shapes)


def coupling_hint(d: Drawn) -> Case:
    n, ndims, hidden = d.one(2, 4, 8), d.number(1, 2), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "logdet": True}
    options["permute"] = d.one("none", "lower", "both", "full")
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    return Case(lambda **kw: inv.CouplingLayerHINT(n, hidden, **options, **kw), (shape,), unlike=SHARED)


def conditional_layer_hint(d: Drawn) -> Case:
    n, ndims, hidden = d.one(2, 4, 8), d.number(1, 2), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "permute": d.flag()}
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    return Case(lambda **kw: inv.ConditionalLayerHINT(n, hidden, **options, **kw), (shape, shape), unlike=SHARED)


def irim(d: Drawn) -> Case:
    n, ndims, hidden = d.one(2, 4), d.number(1, 3), d.number(1, 4)
    options = d.block(ndims)
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    return Case(lambda **kw: inv.CouplingLayerIRIM(n, hidden, **options, **kw), (shape,))


def hyperbolic(d: Drawn) -> Case:
    ndims, action = d.number(1, 3), d.one(-1, 0, 1)
    n, hidden, alpha = (1 if action < 1 else 2**ndims), d.number(1, 4), d.one(0.3, 1.0)
    shape = (*d.size(ndims, 2 if action < 0 else 1), n, d.samples())
    return Case(
        lambda **kw: inv.HyperbolicLayer(n, 3, 1, 1, action=action, n_hidden=hidden, alpha=alpha, ndims=ndims, **kw),
        (shape, shape),
    )


def network_hyperbolic(d: Drawn) -> Case:
    ndims, hidden = d.number(1, 2), d.number(1, 3)
    actions = d.one((-1, 0, 1), (0, 0), (-1, 0), (-1, 1, 0))
    layers = tuple((action, hidden) for action in actions)
    shape = (*d.size(ndims, 2), 1, d.samples())
    return Case(lambda **kw: inv.NetworkHyperbolic(1, layers, alpha=0.5, ndims=ndims, **kw), (shape, shape))


def glow(d: Drawn) -> Case:
    ndims, L, split = d.number(1, 3), d.number(1, 2), d.flag()
    L = 1 if ndims == 3 else L
    n, K, hidden = d.number(1 if split else 2, 3), d.number(1, 3), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "squeezer": d.squeezer(), "freeze_conv": d.flag()}
    factor, options["split_scales"] = 2**L if split else 1, split
    shape = (*d.size(ndims, factor, least(options)), n, d.samples())
    return Case(lambda **kw: inv.NetworkGlow(n, hidden, L, K, **options, **kw), (shape,))


def conditional_glow(d: Drawn) -> Case:
    ndims, L, split = d.number(1, 2), d.number(1, 2), d.flag()
    n, c, K, hidden = d.number(1 if split else 2, 3), d.number(1, 2), d.number(1, 3), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "squeezer": d.squeezer(), "split_scales": split}
    options["rb_activation"] = d.one(inv.ReLUlayer(), inv.LeakyReLUlayer())
    size, samples = d.size(ndims, 2**L if split else 1, least(options)), d.samples()
    shapes = ((*size, n, samples), (*size, c, samples))
    return Case(lambda **kw: inv.NetworkConditionalGlow(n, c, hidden, L, K, **options, **kw), shapes)


def conditional_hint(d: Drawn) -> Case:
    n, ndims, hidden, depth = d.one(2, 4, 8), d.number(1, 2), d.number(1, 4), d.number(1, 3)
    options = {**d.block(ndims), "activation": d.scale()}
    shape = (*d.size(ndims, least=least(options)), n, d.samples())
    return Case(lambda **kw: inv.NetworkConditionalHINT(n, hidden, depth, **options, **kw), (shape,) * 2, unlike=SHARED)


def multiscale_hint(d: Drawn) -> Case:
    ndims, L, K, hidden = d.number(1, 2), d.number(1, 2), d.number(1, 2), d.number(1, 4)
    options = {**d.block(ndims), "activation": d.scale(), "split_scales": d.flag()}
    shape = (*d.size(ndims, 2**L, least(options)), 1, d.samples())
    return Case(lambda **kw: inv.NetworkMultiScaleHINT(1, hidden, L, K, **options, **kw), (shape,), unlike=SHARED)


def multiscale_conditional_hint(d: Drawn) -> Case:
    L, K, hidden = d.number(1, 2), d.number(1, 2), d.number(1, 4)
    ndims = 1 if L == 2 else d.number(1, 2)
    options = {**d.block(ndims), "activation": d.scale(), "split_scales": d.flag(), "squeezer": d.squeezer()}
    shape = (*d.size(ndims, 2**L, least(options)), 1, d.samples())
    return Case(
        lambda **kw: inv.NetworkMultiScaleConditionalHINT(1, hidden, L, K, **options, **kw), (shape,) * 2, unlike=SHARED
    )


def sequential(d: Drawn) -> Case:
    n, split, hidden = d.number(2, 3), d.flag(), d.number(1, 4)
    shape = (*d.size(2, 2), n, d.samples())
    return Case(
        lambda **kw: inv.Sequential(
            inv.ActNorm(n, logdet=True, **kw),
            inv.reverse(inv.CouplingLayerGlow(n, hidden, logdet=True, **kw)),
            inv.NetworkGlow(n, hidden, 1, 2, split_scales=split, **kw),
        ),
        (shape,),
    )


def summarized(d: Drawn) -> Case:
    n, c, hidden, split, given = d.number(2, 3), d.number(1, 3), d.number(1, 4), d.flag(), d.number(1, 2)
    samples, size = d.samples(), d.size(2, 4)
    return Case(
        lambda **kw: inv.SummarizedNet(
            inv.NetworkConditionalGlow(n, c, hidden, 2, 1, split_scales=split, **kw),
            inv.ResidualBlock(given, 3, n_out=c, fan=True, **kw),
        ),
        ((*size, n, samples), (*size, given, samples)),
    )


KINDS: dict[str, Callable[[Drawn], Case]] = {
    f.__name__: f
    for f in (
        actnorm, affine, conv1x1, coupling_basic, coupling_glow, conditional_layer_glow, coupling_hint,
        conditional_layer_hint, irim, hyperbolic, network_hyperbolic, glow, conditional_glow, conditional_hint,
        multiscale_hint, multiscale_conditional_hint, sequential, summarized,
    )
}  # fmt: skip


# Checks


def log_determinant(run: Run) -> str | None:
    expected = mathematics.log_determinant(run, h=1e-6)
    right = abs(run.lgdet - expected) < 1e-5 * max(1.0, abs(expected))
    return None if right else f"log-determinant {run.lgdet}, by differences {expected}"


def slope(objective: Callable[[list[np.ndarray]], float], gradients: list[np.ndarray], seed: int) -> float:
    """The order of the first-order Taylor remainder: the middle one of five directions."""
    rng, start, slopes = np.random.default_rng(seed), objective([0 * g for g in gradients]), []
    for _ in range(5):
        directions = [rng.standard_normal(g.shape) for g in gradients]
        derivative = sum((g * v).sum() for g, v in zip(gradients, directions, strict=True))
        errors = [abs(objective([h * v for v in directions]) - start - h * derivative) for h in STEPS]
        if max(errors) < 1e-10 * max(1.0, abs(start)):
            return 2.0  # Nothing but rounding.
        slopes.append(float(np.polyfit(np.log(STEPS), np.log(errors), 1)[0]))
    return sorted(slopes)[2]


def gradients(run: Run, seed: int) -> str | None:
    of_inputs, recomputed = run.backward()
    for got, expected in zip(recomputed, run.inputs, strict=False):
        if not np.allclose(got, expected, rtol=1e-6, atol=1e-6 * abs(expected).max()):
            return "backward does not recompute the inputs"

    def inputs_moved(steps):
        return run.objective([np.asfortranarray(x + step) for x, step in zip(run.inputs, steps, strict=True)])

    found = slope(inputs_moved, list(of_inputs), seed)
    if abs(found - 2) > 0.1:
        return f"Taylor remainder in the inputs has slope {found:.3f}"
    unlike = run.case.unlike
    parameters = [p for p in inv.get_params(run.network) if not (unlike and re.search(unlike, p.name))]
    starts = [p.data.copy() for p in parameters]
    frozen = [p.grad is not None and not p.grad.any() for p in parameters]

    def parameters_moved(steps):
        for p, start, step, still in zip(parameters, starts, steps, frozen, strict=True):
            p.data = start if still else start + step
        value = run.objective(run.inputs)
        for p, start in zip(parameters, starts, strict=True):
            p.data = start
        return value

    found = slope(parameters_moved, [p.grad.copy() for p in parameters], seed + 1)
    return None if abs(found - 2) <= 0.1 else f"Taylor remainder in the parameters has slope {found:.3f}"


def round_trip(run: Run) -> str | None:
    for got, expected in zip(run.inverse(), run.inputs, strict=False):
        if not np.allclose(got, expected, rtol=1e-6, atol=1e-6 * abs(expected).max()):
            return "inverse does not undo forward"
    return None


def off(a: np.ndarray, b: np.ndarray) -> float:
    return float(abs(a - b).max() / max(1.0, abs(b).max()))


def agreement(case: Case) -> str | None:
    """Of the engines, in all that a run gives."""
    ours, julias = (Run(case, engine) for engine in ("numpy", "julia"))
    found = {"outputs": max(map(off, julias.outputs, ours.outputs)), "lgdet": abs(julias.lgdet - ours.lgdet)}
    (d_julias, x_julias), (d_ours, x_ours) = julias.backward(), ours.backward()
    found["gradients"] = max(map(off, d_julias, d_ours))
    found["inputs"] = max(map(off, x_julias, x_ours))
    both = zip(inv.get_params(julias.network), inv.get_params(ours.network), strict=True)
    found["parameters' gradients"] = max(off(p.grad, q.grad) for p, q in both)
    far = {what: value for what, value in found.items() if not value < 1e-8}
    return f"the engines differ: {far}" if far else None


class Moved(ReversedCase):
    """With other inputs at each draw."""

    def __init__(self, case: Case, draw: int) -> None:
        super().__init__(case)
        self.draw = draw

    def inputs(self, seed: int = 5) -> list[np.ndarray]:
        return super().inputs(seed + 100 * self.draw)


def attempt(kind: str, number: int, seed: int, engine: str) -> str | None:
    """What went wrong with this network in every draw of inputs, if anything."""
    index = list(KINDS).index(kind)
    case = KINDS[kind](Drawn(np.random.default_rng([seed, index, number])))
    wrong: str | None = None
    for draw in range(DRAWS):
        moved = Moved(case, draw)
        try:
            if engine == "julia":
                wrong = agreement(moved)
            else:
                run = Run(moved, engine)
                wrong = round_trip(run) or log_determinant(run) or gradients(run, seed=number)
        except Exception as error:
            if "InvertibleNetworks.jl 2.3.1 cannot" in str(error):
                return None
            wrong = f"{type(error).__name__}: {error}"
        if wrong is None:
            return None
    return f"{moved.make(engine='numpy')!r}, inputs {moved.shapes}: {wrong}"


def attack(
    tries: int, seed: int, engine: str = "numpy", kinds: tuple[str, ...] = tuple(KINDS), first: int = 0
) -> tuple[Counter[str], list[str]]:
    """So many networks in all.

    Returns:
        The number of networks of each kind, and what went wrong.
    """
    made: Counter[str] = Counter()
    failures = []
    for i in range(tries):
        kind, number = kinds[i % len(kinds)], first + i // len(kinds)
        failure = attempt(kind, number, seed, engine)
        made[kind] += 1
        if failure:
            failures.append(f"--kind {kind} --first {number}: {failure}")
    return made, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tries", type=int, default=1000, help="of all kinds together (default: 1000)")
    parser.add_argument("--engine", choices=("numpy", "julia"), default="numpy", help="julia: both, compared")
    parser.add_argument("--kind", choices=KINDS, help="this one alone")
    parser.add_argument("--first", type=int, default=0, metavar="NUMBER", help="of the first network of each kind")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    kinds = (options.kind,) if options.kind else tuple(KINDS)
    made, failures = attack(options.tries, options.seed, options.engine, kinds, options.first)
    for failure in failures:
        print(failure)
    print(f"{'kind':30} {'networks':>8}")
    for kind, count in made.items():
        print(f"{kind:30} {count:8,}")
    print(f"{sum(made.values()):,} networks, {len(failures)} failed")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
