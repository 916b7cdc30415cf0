"""The networks of flows on rows, by the coupling of their steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..functions.activations import ActivationFunction, Sigmoid2Layer
from ..networks.base.layer import Layer
from ..networks.base.parameters import get_params
from ..networks.glow import NetworkConditionalGlow, NetworkGlow
from ..networks.spline import NetworkConditionalSpline, NetworkSpline

_NETWORKS: dict[str, tuple[Callable[..., Layer], Callable[..., Layer]]] = {
    "affine": (NetworkGlow, NetworkConditionalGlow),
    "spline": (NetworkSpline, NetworkConditionalSpline),
}
"""Without and with a condition."""


def check_coupling(title: str, coupling: Any) -> None:
    """Raise ValueError where it is none."""
    if coupling not in _NETWORKS:
        raise ValueError(f'{title}: coupling must be "affine" or "spline", got {coupling!r}')


def coupled_network(
    coupling: str,
    activation: ActivationFunction | None,
    width: int,
    n_cond: int,
    n_hidden: int,
    K: int,
    engine: str | None,
    seed: int | None,
) -> Layer:
    """A network on images of one pixel."""
    # A kernel of three would be eight ninths padding.
    options: dict[str, Any] = {"k1": 1, "p1": 0, "engine": engine, "seed": seed}
    check_coupling("VectorFlow", coupling)
    if coupling == "affine":
        options["activation"] = Sigmoid2Layer() if activation is None else activation
    elif activation is not None:
        raise ValueError(f'VectorFlow: activation is for coupling="affine", got {activation!r} with "spline"')
    plain, conditional = _NETWORKS[coupling]
    if n_cond:
        network = conditional(width, n_cond, n_hidden, 1, K, **options)
    else:
        network = plain(width, n_hidden, 1, K, **options)
    _spread(network, seed)
    return network


def _spread(network: Layer, seed: int | None) -> None:
    """Initial weights for few features. The block of an affine coupling ends in a ReLU: of one feature and no bias half
    of its outputs would be zero on a whole half-line, many of them for good. All are made positive, with kinks here and
    there. That of a spline coupling gives zeros at first, and needs the kinks only."""
    rng = np.random.default_rng(seed)
    for p in get_params(network):
        if p.data is None:  # ActNorm's, before the first batch
            continue
        if p.name.endswith(".RB.W3"):
            p.data[...] = 0.3 * np.abs(p.data)
        elif p.name.endswith(".RB.b1"):
            p.data[...] = rng.uniform(-1, 1, p.data.shape)
