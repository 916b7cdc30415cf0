"""Networks run the other way: `forward` of the reversed one is `inverse` of the original.

Source: InvertibleNetworks.jl, src/utils/neuralnet.jl (`reverse`).
"""

from __future__ import annotations

import copy as copying
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ..arrays.latents import Array, resized
from ..engines import get_engine
from ..engines.protocol import Model
from .base.composite import CompositeModel
from .base.conditional import ConditionalFlow
from .base.flow import Flow
from .base.layer import Layer
from .base.pair import PairFlow
from .base.shapes import ParameterShape, of_part
from .base.signature import Signature
from .base.summary import Shape, Step
from .base.wrapper import Wrapper


class _Reversed(Layer):
    upstream = "src/utils/neuralnet.jl"

    def __init__(self, network: Layer) -> None:
        self._adopt(get_engine(network.engine), _model(network), _signature(network.signature))
        if network.spatial is not None and self.signature.flat:
            self.spatial = network.spatial

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
            images = self.signature.images.channels
            samples = shape[0] // (math.prod(self.spatial) * images)
            data = (*resized(self.spatial, images, channels), channels, samples)
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


class ReversedConditionalFlow(_Reversed, ConditionalFlow):
    """A reversed network with a condition; see `reverse`.

    The condition is always as the original's `forward` takes it, and `forward` does not return it: `forward(Z, C)`
    gives `(X, lgdet)`, `inverse(X, C)` gives `Z`, and `backward(dX, X, C)` gives `(dZ, Z, dC)`.
    """

    returns_condition = False

    @property
    def condition_has_datas_size(self) -> bool:  # type: ignore[override]
        return self.arguments["network"].condition_has_datas_size

    def size_given(self, size: tuple[int, ...]) -> tuple[int, ...]:
        return self.arguments["network"].size_given(size)

    def input_shapes(self, shape: Shape) -> dict[str, Shape | None]:
        return self.arguments["network"].input_shapes(shape)

    def _samples(self, title: str, *arguments: Any) -> tuple[Array, Array]:
        if self.signature.no_samples:
            raise ValueError(f"{title}: {self.signature.no_samples}")
        return super()._samples(title, *arguments)


def _signature(original: Signature) -> Signature:
    return replace(
        original,
        inputs=dict(zip(original.inputs, original.latents.values(), strict=True)),
        latents=dict(zip(original.latents, original.inputs.values(), strict=True)),
        images=original.images if original.flat else original.latent,
        latent_condition=original.condition,
        splits=original.data_splits,
        data_splits=original.splits,
        density_given=False,
        no_jacobian="there is no derivative of a reversed network along a direction",
    )


def _model(network: Layer) -> Model:
    """One that shares the network's parameters, with anchors of its own, of the same choice."""
    model = _shared(network)
    model.anchors.value = network.anchors
    return model


def _shared(network: Layer) -> Model:
    if isinstance(network.model, CompositeModel):
        return network.model.reversed(lambda part: reverse(part, copy=False))
    engine = get_engine(network.engine)
    reason = engine.supports("Reversed", {"network": network})
    if reason:
        raise ValueError(f"reverse: {reason}")
    return engine.reversed(network.model)


def reverse(network: Layer, *, copy: bool = True) -> Layer:
    """A network or layer that runs the other way: its `forward` is the original's `inverse` with the log-determinant
    of that, where the original tracks it, and its `backward` is the gradient of that. So the samples of a flow have
    gradients, and a flow can be fitted to a density that is known up to a constant, or an image be sought in its
    latent. The states are recomputed, so that memory does not grow with depth.

    With a condition, `forward(Z, C)` takes the condition as the original's `forward` does and gives `(X, lgdet)`;
    `inverse(X, C)` and `backward(dX, X, C)`, which gives `(dZ, Z, dC)`, take it so too.

    An ActNorm that was not initialised is set by the first `forward` of the reversed network, each in its turn, so that
    what comes out there has zero mean and unit variance; the condition's own ActNorm by the condition, as ever.

    Args:
        network: any network or layer that is invertible, composites included, but `NetworkLoop`; or a reversed one,
            which gives one like the original.
        copy: whether the reversed network has parameters of its own. Otherwise it shares the original's: gradients and
            steps of an optimiser on the one are on the other.

    Raises:
        TypeError: the network is not invertible, or takes an operator.
        ValueError: the network is on a GPU, and should be copied; or its engine cannot run it the other way.

    Source: upstream for `ActNorm`, `CouplingLayerBasic`, `CouplingLayerHINT`, `ConditionalLayerHINT` and
    `NetworkConditionalHINT`; for all others the derivatives are this package's own.

    >>> import numpy as np
    >>> import pyinvnets as inv
    >>> G = inv.NetworkGlow(2, 16, 1, 4, engine="numpy", seed=1)
    >>> R = inv.reverse(G)
    >>> Z = np.random.default_rng(1).standard_normal((1, 1, 2, 100), dtype=np.float32)
    >>> X, lgdet = R.forward(Z)
    >>> dZ, Z_again = R.backward(X / 100, X)
    """
    if isinstance(network, Wrapper):
        raise TypeError(
            f"reverse: {type(network).__name__} is more than its network; write inv.reverse(flow.network), or take "
            "samples and their log-densities from sample_and_log_prob"
        )
    if copy and network.on_gpu:
        raise ValueError("reverse: a copy is made on the CPU; write inv.reverse(G.cpu()).gpu()")
    if isinstance(network, _Reversed):
        original = network.arguments["network"]
        return copying.deepcopy(original) if copy else original
    kind = next((kind for base, kind in KINDS.items() if isinstance(network, base)), None)
    if kind is None or not network.signature.invertible:
        raise TypeError(f"reverse: expected an invertible network or layer over arrays alone, got {network!r}")
    return kind(copying.deepcopy(network) if copy else network)


KINDS = {Flow: ReversedFlow, PairFlow: ReversedPairFlow, ConditionalFlow: ReversedConditionalFlow}
