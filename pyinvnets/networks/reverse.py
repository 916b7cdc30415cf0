"""Networks run the other way: `forward` of the reversed one is `inverse` of the original.

Source: InvertibleNetworks.jl, src/utils/neuralnet.jl (`reverse`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..arrays.latents import resized
from ..engines import get_engine
from .actnorm import ActNorm
from .base.flow import Flow
from .base.layer import Layer
from .base.pair import PairFlow
from .base.shapes import ParameterShape, of_part
from .base.summary import Shape, Step
from .coupling import CouplingLayerBasic
from .hint import ConditionalLayerHINT, CouplingLayerHINT, NetworkConditionalHINT, NetworkMultiScaleConditionalHINT

REVERSIBLE = (
    ActNorm,
    CouplingLayerBasic,
    CouplingLayerHINT,
    ConditionalLayerHINT,
    NetworkConditionalHINT,
    NetworkMultiScaleConditionalHINT,
)
"""Those whose inverse has a gradient in upstream."""


class _Reversed(Layer):
    upstream = "src/utils/neuralnet.jl"

    def __init__(self, network: Layer) -> None:
        original = network.signature
        flat = "its data is a flat vector" if original.latent.vector else None
        signature = replace(
            original,
            inputs=dict(zip(original.inputs, original.latents.values(), strict=True)),
            latents=dict(zip(original.latents, original.inputs.values(), strict=True)),
            images=original.data if original.latent.vector else original.latent,
            density_given=False,
            no_density=original.no_density or flat,
            no_jacobian="upstream has no derivative of a reversed network",
        )
        engine = get_engine(network.engine)
        reason = engine.supports("Reversed", {"network": network})
        if reason:
            raise ValueError(f"reverse: {reason}")
        self._adopt(engine, engine.create("Reversed", (network,), {}, None), signature)
        self.astype(network.dtype)

    @staticmethod
    def shapes(network: Any) -> Iterator[ParameterShape]:
        return of_part(network)

    @property
    def title(self) -> str:
        return f"reverse({type(self.arguments['network']).__name__})"

    def __repr__(self) -> str:
        return f"reverse({self.arguments['network']!r})"

    def steps(self, shape: Shape) -> list[Step]:
        """The original's steps from the last to the first: each gives what it took there."""
        original, opposite = self.arguments["network"], {"split": "join", "join": "split"}
        channels = original.signature.data.channels
        if self.signature.data.vector:
            samples = shape[0] // (math.prod(self.spatial) * channels)
            data = (*self.spatial, channels, samples)
        else:
            data = (*resized(shape[:-2], shape[-2], channels), channels, shape[-1])
        steps = original.steps(data)
        taken = [data, *(step.shape for step in steps[:-1])]
        return [
            replace(step, layer=opposite.get(step.layer, step.layer), shape=before)
            for step, before in zip(reversed(steps), reversed(taken), strict=True)
        ]


class ReversedFlow(_Reversed, Flow):
    """A reversed network with one input; see `reverse`."""


class ReversedPairFlow(_Reversed, PairFlow):
    """A reversed network with two inputs; see `reverse`."""


def reverse(network: Layer) -> Layer:
    """A copy of a network or layer that runs the other way: its `forward` is the original's `inverse`, with the
    log-determinant where the original tracks it, and its `backward` is the gradient of that.

    An ActNorm that was not initialised is set by the first `forward` of the reversed network, so that what comes out
    there has zero mean and unit variance. To reverse a reversed network gives one like the original.

    Args:
        network: an `ActNorm`, `CouplingLayerBasic`, `CouplingLayerHINT`, `ConditionalLayerHINT`,
            `NetworkConditionalHINT` or `NetworkMultiScaleConditionalHINT` (this one on the NumPy engine only), or a
            reversed one.

    Raises:
        TypeError: upstream has no gradient for the inverse of this network.
    """
    if network.on_gpu:
        raise ValueError("reverse: it is made on the CPU; write inv.reverse(G.cpu()).gpu()")
    if isinstance(network, _Reversed):
        original = network.arguments["network"]
        copy = original.make(original.arguments, network.engine).astype(network.dtype)
        copy.load_state_dict(network.state_dict())
        return copy
    if not isinstance(network, REVERSIBLE):
        raise TypeError(
            f"reverse: upstream has no gradient for the inverse of {type(network).__name__}; expected one of "
            f"{', '.join(kind.__name__ for kind in REVERSIBLE)}. Its inverse itself is .inverse(Y)"
        )
    return (ReversedPairFlow if isinstance(network, PairFlow) else ReversedFlow)(network)
