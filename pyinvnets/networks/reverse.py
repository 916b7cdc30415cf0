"""Networks run the other way: `forward` of the reversed one is `inverse` of the original.

Source: InvertibleNetworks.jl, src/utils/neuralnet.jl (`reverse`).
"""

from __future__ import annotations

from ..engines.choice import get_engine
from .actnorm import ActNorm
from .base.flow import OneLane
from .base.layer import Invertible
from .base.pair import TwoLanes
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


class _Reversed(Invertible):
    upstream = "src/utils/neuralnet.jl"

    def __init__(self, network: Invertible) -> None:
        handle = get_engine(network.engine).create("Reversed", (network,), {}, None)
        self._adopt(network.engine, handle, network._latent, network._data)
        self.astype(network.dtype)

    @property
    def _no_density(self) -> str | None:
        if self._data.vector:
            return "its data is a flat vector"
        return self.arguments["network"]._no_density

    @property
    def _title(self) -> str:
        return f"reverse({type(self.arguments['network']).__name__})"

    def __repr__(self) -> str:
        return f"reverse({self.arguments['network']!r})"


class ReversedOneLane(_Reversed, OneLane):
    """A reversed network with one input; see `reverse`."""


class ReversedTwoLanes(_Reversed, TwoLanes):
    """A reversed network with two inputs; see `reverse`."""


def reverse(network: Invertible) -> Invertible:
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
        copy = type(original)(**original.arguments, engine=network.engine).astype(network.dtype)
        copy.load_state_dict(network.state_dict())
        return copy
    if not isinstance(network, REVERSIBLE):
        raise TypeError(
            f"reverse: upstream has no gradient for the inverse of {type(network).__name__}; expected one of "
            f"{', '.join(kind.__name__ for kind in REVERSIBLE)}. Its inverse itself is .inverse(Y)"
        )
    if isinstance(network, NetworkMultiScaleConditionalHINT) and network.engine == "julia":
        raise ValueError(
            "reverse: InvertibleNetworks.jl 2.3.1 cannot reverse NetworkMultiScaleConditionalHINT; make the network "
            'with engine="numpy"'
        )
    return (ReversedTwoLanes if isinstance(network, TwoLanes) else ReversedOneLane)(network)
