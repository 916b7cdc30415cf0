"""The NumPy engine behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import functions
from .kernels import activations, squeezers
from .model import NumpyModel
from .networks.actnorm import ActNorm
from .networks.affine import AffineLayer
from .networks.conv1x1 import Conv1x1
from .networks.coupling import CouplingLayerBasic
from .networks.glow import ConditionalLayerGlow, CouplingLayerGlow, NetworkConditionalGlow, NetworkGlow
from .networks.hint import (
    ConditionalLayerHINT,
    CouplingLayerHINT,
    NetworkConditionalHINT,
    NetworkMultiScaleConditionalHINT,
    NetworkMultiScaleHINT,
)
from .networks.hyperbolic import HyperbolicLayer, NetworkHyperbolic
from .networks.irim import CouplingLayerIRIM, NetworkLoop
from .networks.residual import ConditionalResidualBlock, ResidualBlock
from .networks.spline import CouplingLayerSpline, NetworkConditionalSpline, NetworkSpline

KINDS = {
    c.__name__: c
    for c in (
        ActNorm,
        AffineLayer,
        ConditionalLayerGlow,
        ConditionalLayerHINT,
        ConditionalResidualBlock,
        Conv1x1,
        CouplingLayerBasic,
        CouplingLayerGlow,
        CouplingLayerHINT,
        CouplingLayerIRIM,
        CouplingLayerSpline,
        HyperbolicLayer,
        NetworkConditionalGlow,
        NetworkConditionalHINT,
        NetworkConditionalSpline,
        NetworkGlow,
        NetworkHyperbolic,
        NetworkLoop,
        NetworkMultiScaleConditionalHINT,
        NetworkMultiScaleHINT,
        NetworkSpline,
        ResidualBlock,
    )
}


def register(name: str, kind: type) -> None:
    """Let the engine compute a new kind of network.

    Args:
        name: the name of the class that declares it.
        kind: what computes it: a class made with a random generator and the arguments of the declaration's
            constructor. Its arrays have the axes `(n_channels, n_samples, ..., nx)`.
    """
    KINDS[name] = kind


def realise(spec: Any) -> Any:
    """The engine's own object for a public activation, squeezer or network; any other argument as it is."""
    model = getattr(spec, "model", None)
    if isinstance(model, NumpyModel):
        return model.layer
    for module in (activations, squeezers):
        kind = getattr(module, type(spec).__name__, None)
        if kind is not None:
            return kind(**spec.arguments)
    return spec


class NumpyEngine:
    name = "numpy"

    def supports(self, kind: str, arguments: dict[str, Any]) -> str | None:
        if kind == "FluxBlock":
            return 'a Flux model runs on the Julia engine only; write engine="julia"'
        if kind == "Reversed":
            reversible = hasattr(arguments["network"].model.layer, "backward_inv")
            return None if reversible else "the NumPy engine has no derivative of its inverse"
        return None if kind in KINDS else f"the NumPy engine has no {kind}; see pyinvnets.engines.numpy.register"

    def create(self, kind: str, positional: tuple[Any, ...], keywords: dict[str, Any], seed: int | None) -> NumpyModel:
        rng = np.random.default_rng(seed)
        keywords = {name: realise(value) for name, value in keywords.items()}
        return NumpyModel(KINDS[kind](rng, *map(realise, positional), **keywords))

    def reversed(self, model: NumpyModel) -> NumpyModel:
        return model.reversed()

    def call(self, function: str, *args: Any) -> Any:
        return getattr(functions, function)(*map(realise, args))
