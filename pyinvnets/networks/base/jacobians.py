"""Derivatives of networks along a direction, and their adjoints.

Upstream's Gauss-Newton terms of the log-determinant are left out: its gradient is what `backward` adds.

Source: InvertibleNetworks.jl, src/utils/jacobian.jl.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ...arrays.spec import ArraySpec
from .network import Network
from .parameters import get_params

Direction = Mapping[str, np.ndarray]


def jacobian(network: Network, dtheta: Direction, specs: tuple[ArraySpec, ...], **arrays: np.ndarray) -> tuple:
    """What the engine gives for the tangents and the values in `arrays`, half of them each."""
    title = f"{network.title}.jacobian"
    _check_differentiable(network, title)
    inputs = network.checked(title, specs, arrays)
    half = len(inputs) // 2
    network.check_initialised(title)
    return tuple(network.model.jacobian(inputs[:half], _directions(network, title, dtheta), inputs[half:])[: 2 * half])


def adjoint_jacobian(network: Network, specs: tuple[ArraySpec, ...], **arrays: np.ndarray) -> tuple:
    """The gradients of the inputs, those of the parameters by name, and the inputs where they are recomputed."""
    title = f"{network.title}.adjoint_jacobian"
    _check_differentiable(network, title)
    inputs = network.checked(title, specs, arrays)
    network.check_initialised(title)
    half = len(inputs) // 2
    results, gradients = network.model.adjoint_jacobian(*inputs)
    names = [p.name for p in get_params(network)]
    return (*results[:half], dict(zip(names, gradients, strict=True)), *results[half : 2 * half])


def _check_differentiable(network: Network, title: str) -> None:
    if network.signature.no_jacobian:
        raise TypeError(f"{title}: {network.signature.no_jacobian}")


def _directions(network: Network, title: str, dtheta: Direction) -> list[np.ndarray]:
    """The direction of every parameter, in order; zero for those that `dtheta` leaves out."""
    parameters = get_params(network)
    unknown = sorted(set(dtheta) - {p.name for p in parameters})
    if unknown:
        raise ValueError(f"{title}: dtheta holds {unknown[0]!r}, which is no parameter of {network!r}")
    return [
        p.checked(dtheta[p.name]) if p.name in dtheta else np.zeros(p.shape, network.dtype, order="F")
        for p in parameters
    ]
