"""Derivatives of networks along a direction, their adjoints, and the Jacobian as a linear operator.

Upstream's Gauss-Newton terms of the log-determinant are left out: its gradient is what `backward` adds.

Source: InvertibleNetworks.jl, src/utils/jacobian.jl.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ...arrays.spec import Space
    from .layer import Invertible


Direction = Mapping[str, np.ndarray]


def jacobian(network: Invertible, dtheta: Direction, spaces: tuple[Space, ...], **arrays: np.ndarray) -> tuple:
    """What the engine gives for the tangents and the values in `arrays`, half of them each."""
    title = f"{network._title}.jacobian"
    inputs = network._checked(title, spaces, arrays)
    half = len(inputs) // 2
    inputs = (*inputs[:half], _directions(network, title, dtheta), *inputs[half:])
    return tuple(network._call("jacobian", title, inputs)[: 2 * half])


def adjoint_jacobian(network: Invertible, spaces: tuple[Space, ...], **arrays: np.ndarray) -> tuple:
    """The gradients of the inputs, those of the parameters by name, and the inputs where they are recomputed."""
    title = f"{network._title}.adjoint_jacobian"
    inputs = network._checked(title, spaces, arrays)
    results = network._call("adjointJacobian", title, inputs)
    half = len(inputs) // 2
    names = [p.name for p in network._parameters]
    gradients = dict(zip(names, results[half], strict=True))
    return (*results[:half], gradients, *results[half + 1 : 2 * half + 1])


def _directions(network: Invertible, title: str, dtheta: Direction) -> list[np.ndarray]:
    """The direction of every parameter, in order; zero for those that `dtheta` leaves out."""
    names = {p.name for p in network._parameters}
    unknown = sorted(set(dtheta) - names)
    if unknown:
        raise ValueError(f"{title}: dtheta holds {unknown[0]!r}, which is no parameter of {network!r}")
    return [
        p._checked(dtheta[p.name]) if p.name in dtheta else np.zeros(p.shape, network.dtype, order="F")
        for p in network._parameters
    ]
