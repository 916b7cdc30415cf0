"""The NumPy engine behind the protocol of `pyinvnets.engines`."""

from __future__ import annotations

import numpy as np

from . import functions
from .kernels import activations, squeezers
from .kernels.reversible import Reversed
from .model import NumpyHandle
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
        HyperbolicLayer,
        NetworkConditionalGlow,
        NetworkConditionalHINT,
        NetworkGlow,
        NetworkHyperbolic,
        NetworkLoop,
        NetworkMultiScaleConditionalHINT,
        NetworkMultiScaleHINT,
        ResidualBlock,
        Reversed,
    )
}


def realise(spec):
    """The engine's own object for a public activation, squeezer or network; any other argument as it is."""
    handle = getattr(spec, "_handle", None)
    if isinstance(handle, NumpyHandle):
        return handle._layer
    for module in (activations, squeezers):
        kind = getattr(module, type(spec).__name__, None)
        if kind is not None:
            return kind(**spec.arguments)
    return spec


class NumpyEngine:
    name = "numpy"

    def create(self, kind: str, positional: tuple, keywords: dict, seed: int | None) -> NumpyHandle:
        rng = np.random.default_rng(seed)
        keywords = {name: realise(value) for name, value in keywords.items()}
        return NumpyHandle(KINDS[kind](rng, *map(realise, positional), **keywords))

    def call(self, function: str, *args):
        return getattr(functions, function)(*map(realise, args))
