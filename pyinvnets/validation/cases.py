"""Small cases of every layer and network, which `python -m pyinvnets validate` and the generic tests run over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import pyinvnets as inv

from ..networks.base.layer import Layer


@dataclass
class Case:
    """A network and what goes in.

    Attributes:
        make: makes the network from `engine` and `seed`.
        shapes: of the inputs of `forward`.
        invertible: whether there is an inverse.
        logdet: whether `forward` tracks the log-determinant, or it is zero.
        unlike: the parameters whose gradient is not the objective's in upstream, and here, as a regular expression.
        mixed: whether the latent has the data's shape, but not samples on its last axis.
        extra: further arguments of each mode, the same for all.
    """

    make: Callable[..., Layer]
    shapes: tuple[tuple[int, ...], ...]
    invertible: bool = True
    logdet: bool = True
    unlike: str | None = None
    mixed: bool = False
    extra: Callable[[], tuple[Any, ...]] = tuple

    def network(self, engine):
        """With every parameter away from special values, and ActNorm initialised on other data than `inputs`."""
        rng = np.random.default_rng(11)
        network = self.make(engine=engine, seed=3).astype(np.float64)
        network.load_state_dict(self.make(engine="numpy", seed=3).state_dict())
        network.forward(*self.inputs(seed=8), *self.extra())
        for p in inv.get_params(network):
            p.data = p.data + 0.1 * rng.standard_normal(p.shape)
        return network

    def inputs(self, seed=5):
        rng = np.random.default_rng(seed)
        return [np.asfortranarray(rng.standard_normal(shape)) for shape in self.shapes]

    def loaded(self, engine, dtype, state):
        """With the parameters of a `state_dict`."""
        network = self.make(engine=engine, seed=3).astype(dtype)
        network.load_state_dict(state)
        return network


class ReversedCase(Case):
    """The reversed network of a case, with its latents as inputs."""

    def __init__(self, case: Case) -> None:
        self._original = case
        super().__init__(self._make, (), unlike=case.unlike, mixed=case.mixed)

    def _make(self, **options):
        network = inv.reverse(self._original.make(**options))
        if network.signature.flat:
            network.spatial = self._original.shapes[0][:-2]
        return network

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        original = self._original.make(engine="numpy")
        lanes = len(original.signature.latents)
        latent = original.steps(self._original.shapes[0])[-1].shape
        return (latent,) * lanes + self._original.shapes[lanes:]

    @shapes.setter
    def shapes(self, value: tuple) -> None:
        """They follow from the original."""


def irim_problem():
    rng = np.random.default_rng(21)
    return np.asfortranarray(rng.standard_normal((5, 2))), np.asfortranarray(rng.standard_normal((5, 16)))


def same(eta):
    return eta


SHARED = r"CL\[[2-9]\]\.RB\.[Wb]"
"""Blocks that a recursive layer uses for both halves."""

DEEP_HINT = (2, 2, 8, 2)

CASES = {
    "ActNorm": Case(lambda **kw: inv.ActNorm(3, logdet=True, **kw), ((3, 2, 3, 2),)),
    "AffineLayer": Case(lambda **kw: inv.AffineLayer(3, 2, 3, logdet=True, **kw), ((3, 2, 3, 2),)),
    "Conv1x1": Case(lambda **kw: inv.Conv1x1(4, **kw), ((3, 2, 4, 2),)),
    "ResidualBlock": Case(lambda **kw: inv.ResidualBlock(2, 4, **kw), ((4, 3, 2, 2),), invertible=False, logdet=False),
    "ResidualBlock, leaky fan": Case(
        lambda **kw: inv.ResidualBlock(2, 4, activation=inv.LeakyReLUlayer(), fan=True, **kw),
        ((4, 3, 2, 2),),
        invertible=False,
        logdet=False,
    ),
    "EmbeddingBlock": Case(
        lambda **kw: inv.EmbeddingBlock(2, 4, 3, size_in=(3,), size_out=(2, 4), **kw),
        ((3, 2, 2),),
        invertible=False,
        logdet=False,
    ),
    "UNet": Case(lambda **kw: inv.UNet(2, 3, 3, **kw), ((8, 4, 2, 2),), invertible=False, logdet=False),
    "UNet, 3-D": Case(
        lambda **kw: inv.UNet(1, 4, 2, depth=1, ndims=3, **kw), ((2, 4, 2, 1, 2),), invertible=False, logdet=False
    ),
    "ConditionalResidualBlock": Case(
        lambda **kw: inv.ConditionalResidualBlock(4, 3, 2, 3, 2, 1, 5, 2, **kw),
        ((4, 3, 2, 3), (3, 2, 1, 3)),
        invertible=False,
        logdet=False,
    ),
    "CouplingLayerBasic": Case(
        lambda **kw: inv.CouplingLayerBasic(2, 4, logdet=True, **kw), ((3, 2, 2, 2), (3, 2, 2, 2))
    ),
    "CouplingLayerGlow": Case(lambda **kw: inv.CouplingLayerGlow(3, 4, logdet=True, **kw), ((3, 2, 3, 2),)),
    "CouplingLayerGlow, Sigmoid2": Case(
        lambda **kw: inv.CouplingLayerGlow(3, 4, logdet=True, activation=inv.Sigmoid2Layer(), **kw), ((3, 2, 3, 2),)
    ),
    "CouplingLayerGlow, ExpClamp": Case(
        lambda **kw: inv.CouplingLayerGlow(3, 4, logdet=True, activation=inv.ExpClampLayer(), **kw), ((3, 2, 3, 2),)
    ),
    **{
        f"CouplingLayerHINT, {permute}": Case(
            lambda permute=permute, **kw: inv.CouplingLayerHINT(4, 4, logdet=True, permute=permute, **kw),
            ((3, 2, 4, 2),),
        )
        for permute in ("none", "lower", "both", "full")
    },
    **{
        f"CouplingLayerHINT, deep, {permute}": Case(
            lambda permute=permute, **kw: inv.CouplingLayerHINT(8, 4, logdet=True, permute=permute, **kw),
            (DEEP_HINT,),
            unlike=SHARED,
        )
        for permute in ("none", "lower", "both", "full")
    },
    "CouplingLayerHINT, 1-D": Case(
        lambda **kw: inv.CouplingLayerHINT(8, 4, logdet=True, ndims=1, **kw), ((3, 8, 2),), unlike=SHARED
    ),
    "CouplingLayerIRIM": Case(lambda **kw: inv.CouplingLayerIRIM(4, 4, **kw), ((4, 4, 4, 2),)),
    "CouplingLayerSpline": Case(lambda **kw: inv.CouplingLayerSpline(3, 4, logdet=True, **kw), ((3, 2, 3, 2),)),
    "CouplingLayerSpline, few bins, small square": Case(
        lambda **kw: inv.CouplingLayerSpline(4, 4, n_bins=2, bound=0.7, logdet=True, ndims=1, **kw), ((3, 4, 2),)
    ),
    "HyperbolicLayer": Case(
        lambda **kw: inv.HyperbolicLayer(2, 3, 1, 1, alpha=0.3, n_hidden=3, **kw), ((4, 2, 2, 2), (4, 2, 2, 2))
    ),
    "HyperbolicLayer, smaller images": Case(
        lambda **kw: inv.HyperbolicLayer(2, 3, 1, 1, action=-1, n_hidden=3, **kw), ((4, 2, 2, 2), (4, 2, 2, 2))
    ),
    "HyperbolicLayer, larger images": Case(
        lambda **kw: inv.HyperbolicLayer(4, 3, 1, 1, action=1, n_hidden=3, **kw), ((2, 2, 4, 2), (2, 2, 4, 2))
    ),
    "HyperbolicLayer, 1-D, stride": Case(
        lambda **kw: inv.HyperbolicLayer(2, 2, 2, 0, ndims=1, **kw), ((6, 2, 2), (6, 2, 2))
    ),
    "ConditionalLayerGlow": Case(
        lambda **kw: inv.ConditionalLayerGlow(3, 2, 4, logdet=True, **kw), ((3, 2, 3, 2), (3, 2, 2, 2))
    ),
    "ConditionalLayerHINT": Case(lambda **kw: inv.ConditionalLayerHINT(4, 4, **kw), ((2, 2, 4, 2), (2, 2, 4, 2))),
    "ConditionalLayerHINT, deep": Case(
        lambda **kw: inv.ConditionalLayerHINT(8, 4, permute=False, **kw), (DEEP_HINT, DEEP_HINT), unlike=SHARED
    ),
    "NetworkGlow": Case(lambda **kw: inv.NetworkGlow(3, 4, 2, 2, **kw), ((3, 2, 3, 2),)),
    "NetworkGlow, split": Case(lambda **kw: inv.NetworkGlow(2, 4, 2, 1, split_scales=True, **kw), ((4, 4, 2, 2),)),
    "NetworkGlow, dense": Case(lambda **kw: inv.NetworkGlow(2, 3, 1, 2, nx=4, dense=True, **kw), ((4, 2, 3),)),
    "NetworkConditionalGlow": Case(
        lambda **kw: inv.NetworkConditionalGlow(3, 2, 4, 2, 2, **kw), ((3, 2, 3, 2), (3, 2, 2, 2))
    ),
    "NetworkConditionalGlow, split": Case(
        lambda **kw: inv.NetworkConditionalGlow(1, 2, 4, 2, 1, split_scales=True, squeezer=inv.HaarLayer(), **kw),
        ((4, 4, 1, 2), (4, 4, 2, 2)),
        mixed=True,
    ),
    "NetworkConditionalGlow, split, one scale": Case(
        lambda **kw: inv.NetworkConditionalGlow(2, 1, 4, 1, 2, split_scales=True, ndims=1, **kw),
        ((4, 2, 2), (4, 1, 2)),
    ),
    "NetworkConditionalGlow, 3-D": Case(
        lambda **kw: inv.NetworkConditionalGlow(2, 1, 4, 1, 1, ndims=3, rb_activation=inv.LeakyReLUlayer(), **kw),
        ((2, 3, 2, 2, 2), (2, 3, 2, 1, 2)),
    ),
    "NetworkSpline": Case(lambda **kw: inv.NetworkSpline(3, 4, 2, 2, **kw), ((3, 2, 3, 2),)),
    "NetworkSpline, split": Case(
        lambda **kw: inv.NetworkSpline(1, 4, 2, 1, n_bins=4, bound=3.0, **kw), ((4, 4, 1, 2),)
    ),
    "NetworkConditionalSpline": Case(
        lambda **kw: inv.NetworkConditionalSpline(3, 2, 4, 1, 2, **kw), ((3, 2, 3, 2), (3, 2, 2, 2))
    ),
    "NetworkConditionalSpline, split": Case(
        lambda **kw: inv.NetworkConditionalSpline(1, 2, 4, 2, 1, n_bins=4, split_scales=True, **kw),
        ((4, 4, 1, 2), (4, 4, 2, 2)),
        mixed=True,
    ),
    "NetworkConditionalHINT": Case(
        lambda **kw: inv.NetworkConditionalHINT(4, 4, 2, **kw), ((2, 2, 4, 2), (2, 2, 4, 2))
    ),
    "NetworkMultiScaleHINT": Case(
        lambda **kw: inv.NetworkMultiScaleHINT(1, 4, 2, 1, **kw), ((4, 4, 1, 2),), unlike=SHARED
    ),
    "NetworkMultiScaleHINT, split": Case(
        lambda **kw: inv.NetworkMultiScaleHINT(2, 4, 2, 1, split_scales=True, **kw), ((4, 4, 2, 2),), unlike=SHARED
    ),
    "NetworkMultiScaleHINT, split, one scale": Case(
        lambda **kw: inv.NetworkMultiScaleHINT(1, 4, 1, 2, split_scales=True, **kw), ((4, 4, 1, 2),)
    ),
    "NetworkMultiScaleHINT, 3-D": Case(
        lambda **kw: inv.NetworkMultiScaleHINT(1, 4, 1, 1, ndims=3, **kw), ((2, 4, 2, 1, 2),), unlike=SHARED
    ),
    "NetworkMultiScaleConditionalHINT": Case(
        lambda **kw: inv.NetworkMultiScaleConditionalHINT(1, 4, 1, 2, **kw), ((4, 2, 1, 2), (4, 2, 1, 2))
    ),
    "NetworkMultiScaleConditionalHINT, split": Case(
        lambda **kw: inv.NetworkMultiScaleConditionalHINT(1, 4, 2, 1, split_scales=True, **kw),
        ((4, 4, 1, 2), (4, 4, 1, 2)),
        unlike=SHARED,
    ),
    "NetworkHyperbolic": Case(
        lambda **kw: inv.NetworkHyperbolic(1, ((-1, 3), (0, 2), (1, 4)), alpha=0.5, **kw),
        ((4, 4, 1, 2), (4, 4, 1, 2)),
    ),
    "NetworkHyperbolic, 3-D": Case(
        lambda **kw: inv.NetworkHyperbolic(1, ((-1, 3), (0, 2)), ndims=3, **kw), ((2, 2, 4, 1, 1), (2, 2, 4, 1, 1))
    ),
    "NetworkLoop, additive": Case(
        lambda **kw: inv.NetworkLoop(4, 4, 2, same, **kw), ((4, 4, 1, 2), (4, 4, 3, 2)), extra=irim_problem
    ),
    "NetworkLoop, HINT": Case(
        lambda **kw: inv.NetworkLoop(4, 4, 2, same, type="HINT", **kw),
        ((4, 4, 1, 2), (4, 4, 3, 2)),
        extra=irim_problem,
        logdet=False,
    ),
    "Sequential": Case(
        lambda **kw: inv.Sequential(
            inv.ActNorm(4, logdet=True, **kw),
            inv.CouplingLayerGlow(4, 4, logdet=True, **kw),
            inv.NetworkGlow(4, 4, 1, 1, **kw),
        ),
        ((3, 2, 4, 2),),
    ),
    "SummarizedNet": Case(
        lambda **kw: inv.SummarizedNet(
            inv.NetworkConditionalGlow(2, 3, 4, 1, 2, **kw),
            [inv.ResidualBlock(1, 4, n_out=4, **kw), inv.ResidualBlock(2, 4, n_out=3, fan=True, **kw)],
        ),
        ((3, 2, 2, 2), (3, 2, 1, 2)),
    ),
    "SummarizedNet, condition of another size": Case(
        lambda **kw: inv.SummarizedNet(
            inv.NetworkConditionalGlow(2, 3, 8, 1, 1, **kw),
            [
                inv.ResidualBlock(1, 4, ndims=1, **kw),
                inv.EmbeddingBlock(1, 4, 2, size_in=(5,), size_out=(4, 2), **kw),
                inv.UNet(2, 8, 3, depth=1, **kw),
            ],
        ),
        ((4, 2, 2, 2), (5, 1, 2)),
    ),
}

REVERSED = {
    f"reverse({name})": ReversedCase(case)
    for name, case in CASES.items()
    if case.invertible and not name.startswith("NetworkLoop")
}
"""Of every case with a log-determinant the reversed network."""

CASES |= {name: case for name, case in REVERSED.items() if "," not in name}


def as_tuple(results: Any) -> tuple:
    """A single result as a tuple, as several are."""
    return results if isinstance(results, tuple) else (results,)


class Run:
    """One `forward` of a case, and what belongs to it.

    Args:
        case: the case.
        engine: the engine.
        dtype: float64 or float32.
        state: the parameters, as `state_dict` gives them; the case's own by default, which are in float64.
    """

    def __init__(self, case: Case, engine: str, dtype: Any = np.float64, state: dict | None = None) -> None:
        self.case, self.dtype = case, np.dtype(dtype)
        self.network = case.network(engine) if state is None else case.loaded(engine, dtype, state)
        self.inputs = self._cast(case.inputs())
        self.conditional = self.network.signature.condition is not None
        results = self.forward(self.inputs)
        self.outputs, self.lgdet = results
        rng = np.random.default_rng(17)
        counted = self.outputs[:1] if self.conditional else self.outputs
        self.weights = self._cast(np.asfortranarray(rng.standard_normal(z.shape)) for z in counted)
        self.residuals = [c * z for c, z in zip(self.weights, counted, strict=True)]

    def _cast(self, arrays: Iterable[np.ndarray]) -> list[np.ndarray]:
        return [array.astype(self.dtype, copy=False) for array in arrays]

    @property
    def extra(self) -> list[Any]:
        return self._cast(self.case.extra())

    def forward(self, inputs: Sequence[np.ndarray]) -> tuple[list[np.ndarray], float]:
        """The arrays and the log-determinant (zero where there is none)."""
        results = as_tuple(self.network.forward(*inputs, *self.extra))
        lgdet = results[-1] if isinstance(results[-1], float) else 0.0
        if isinstance(self.network, inv.NetworkHyperbolic):
            lgdet = lgdet - 1.0  # upstream's constant
        return [z for z in results if isinstance(z, np.ndarray)], lgdet

    def objective(self, inputs: Sequence[np.ndarray]) -> float:
        outputs, lgdet = self.forward(inputs)
        return sum((c * z * z).sum() / 2 for c, z in zip(self.weights, outputs, strict=False)) - lgdet

    @property
    def latents(self) -> list[np.ndarray]:
        """What `inverse` takes."""
        as_given = self.conditional and not self.network.returns_condition
        return [self.outputs[0], self.inputs[1]] if as_given else self.outputs

    def inverse(self) -> tuple[np.ndarray, ...]:
        return as_tuple(self.network.inverse(*self.latents, *self.extra))

    def backward(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """The gradients of the inputs, and the inputs recomputed, where they are."""
        inv.clear_grad(self.network)
        if not self.case.invertible:
            return as_tuple(self.network.backward(*self.residuals, *self.inputs)), ()
        if isinstance(self.network, inv.SummarizedNet):
            dX, X, dC = self.network.backward(*self.residuals, *self.latents, Y_save=self.inputs[1])
            return (dX, dC), (X,)
        results = self.network.backward(*self.residuals, *self.latents, *self.extra)
        if self.conditional:
            dX, X, dC = results
            return (dX, dC), (X,)
        half = len(results) // 2
        return results[:half], results[half:]
