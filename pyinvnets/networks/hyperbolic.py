"""Hyperbolic layers and their network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .base import arguments as check
from .base.pair import PairFlow
from .base.shapes import ParameterShape, kernel_shape, within
from .base.summary import Shape, Step, squeezed


class HyperbolicLayer(PairFlow):
    """A leapfrog step of a wave equation: from the states `X_prev`, `X_curr` to `X_curr` and
    `X_new = 2 X_curr - X_prev - alpha W' relu(W X_curr + b)`; it keeps volumes.

    Args:
        n_in: number of channels of each state.
        kernel, stride, pad: of the convolution `W`.
        action: 0 keeps the image size; -1 halves it by a Haar transform, which multiplies the channels by
            `2**ndims`; 1 doubles it and divides the channels. (Upstream's default, `"same"`, fails in `forward`.)
        alpha: step size, rounded to 32 bits as upstream holds it.
        n_hidden: number of channels after the convolution, `n_in` by default.
        ndims: number of spatial axes, 2 or 3; 1 is for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`, `X_prev` and `X_curr`; the latent is `X_curr` (resized) and
    `X_new`.
    Parameters: `W` `(kernel, kernel, n_out, n_hidden)` with the channels `n_out` of the latent, `b` `(n_hidden,)`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Lensink, Peters and Haber (2022), «Fully hyperbolic convolutional neural networks»,
    https://arxiv.org/abs/1905.10484.
    """

    upstream = "src/layers/invertible_layer_hyperbolic.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        kernel: int,
        stride: int,
        pad: int,
        *,
        action: int = 0,
        alpha: float = 1.0,
        n_hidden: int | None = None,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("HyperbolicLayer", n_in=n_in, kernel=kernel, stride=stride)
        check.counts("HyperbolicLayer", 0, pad=pad)
        check.spatial_axes("HyperbolicLayer", ndims)
        check.hyperbolic_action("HyperbolicLayer", action, n_in, ndims)
        check.step_size("HyperbolicLayer", alpha)
        if n_hidden is not None:
            check.counts("HyperbolicLayer", n_hidden=n_hidden)
        data, latent = check.hyperbolic_spaces(n_in, [action], check.smallest_size(kernel, pad), ndims)
        self._create(engine, seed, data, latent)

    @staticmethod
    def shapes(
        n_in: int, kernel: int, action: int, n_hidden: int | None, ndims: int, **_: Any
    ) -> Iterator[ParameterShape]:
        n_hidden = n_in if n_hidden is None else n_hidden
        yield ParameterShape("W", (*kernel_shape(kernel, ndims), check.channels_after(n_in, action, ndims), n_hidden))
        yield ParameterShape("b", (n_hidden,))

    def steps(self, shape: Shape) -> list[Step]:
        return [Step("HyperbolicLayer", "", squeezed(shape, self._declared["action"]), 2)]


class NetworkHyperbolic(PairFlow):
    """Hyperbolic layers in turn. The network keeps volumes, so its log-determinant is zero; `forward` returns 1.0 for
    it, as upstream does.

    Args:
        n_in: number of channels of each state.
        architecture: a pair `(action, n_hidden)` for each layer, such as `((-1, 8), (0, 8), (1, 4))`: actions as in
            `HyperbolicLayer`, and numbers of hidden channels.
        k, s, p: kernel, stride and padding of the convolutions.
        logdet: has no effect, as in upstream.
        alpha: step size, rounded to 32 bits as upstream holds it.
        ndims: number of spatial axes, 2 or 3; 1 is for the NumPy engine only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: two of `(nx, [ny, [nz,]] n_in, n_samples)`, the states `X_prev` and `X_curr`.
    Parameters: `HL[i].W`, `HL[i].b`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Lensink, Peters and Haber (2022), «Fully hyperbolic convolutional neural networks»,
    https://arxiv.org/abs/1905.10484.
    """

    upstream = "src/networks/invertible_network_hyperbolic.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        architecture: tuple[tuple[int, int], ...],
        *,
        k: int = 3,
        s: int = 1,
        p: int = 1,
        logdet: bool = True,
        alpha: float = 1.0,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("NetworkHyperbolic", n_in=n_in, k=k, s=s)
        check.counts("NetworkHyperbolic", 0, p=p)
        check.flags("NetworkHyperbolic", logdet=logdet)
        check.spatial_axes("NetworkHyperbolic", ndims)
        check.step_size("NetworkHyperbolic", alpha)
        architecture = check.architecture("NetworkHyperbolic", architecture, n_in, ndims)
        self._declared["architecture"] = architecture
        actions = [action for action, _ in architecture]
        data, latent = check.hyperbolic_spaces(n_in, actions, check.smallest_size(k, p), ndims)
        self._create(engine, seed, data, latent, logdet=True)

    @staticmethod
    def shapes(n_in: int, architecture: Any, k: int, ndims: int, **_: Any) -> Iterator[ParameterShape]:
        for i, (action, n_hidden) in enumerate(architecture, 1):
            yield from within(f"HL[{i}]", HyperbolicLayer.shapes(n_in, k, action, n_hidden, ndims))
            n_in = check.channels_after(n_in, action, ndims)

    def steps(self, shape: Shape) -> list[Step]:
        steps = []
        for i, (action, _) in enumerate(self._declared["architecture"], 1):
            shape = squeezed(shape, action)
            steps.append(Step("HyperbolicLayer", f"HL[{i}]", shape, 2, ends=True))
        return steps
