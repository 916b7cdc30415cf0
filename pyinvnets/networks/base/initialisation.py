"""Where training begins: initial weights for deep networks, ActNorms that no batch sets, and what is wrong with a first
batch from which one cannot be initialised."""

from __future__ import annotations

import re
from typing import TypeVar

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array
from .network import Network
from .parameters import Parameter, get_params
from .signature import Signature
from .wrapper import Wrapper

N = TypeVar("N", bound=Network | Wrapper)

_LAST = re.compile(r"(^|\.)RB\.W3$")
"""The last convolution in the block of a coupling layer."""
_OF_CONDITION = re.compile(r"(^|\.)AN_C\.[sb]$")


def begin_near_identity(network: N) -> N:
    """Set the last convolution in the block of each coupling layer to zero, in place, and give the network back; to be
    called before training.

    Then a coupling layer scales all elements alike and shifts none. With upstream's initial weights scales differ from
    element to element and multiply up: from some dozens of steps on, latents and gradients grow by orders of magnitude,
    and what is recomputed loses its digits even in 64 bits. A network of 96 steps begins with gradients a hundred times
    smaller, and recomputes its input to 1e-5 in 32 bits. With few steps upstream's weights learn faster.

    Args:
        network: any with coupling layers whose blocks are convolutions. (Dense ones end in a ReLU that has no gradient
            at zero.) The other weights stay.

    Raises:
        ValueError: it has no such layer.

    Source: Kingma and Dhariwal (2018), «Glow: Generative Flow with Invertible 1x1 Convolutions», section 3.3,
    https://arxiv.org/abs/1807.03039.

    >>> import pyinvnets as inv
    >>> G = inv.begin_near_identity(inv.NetworkGlow(2, 16, 1, 96, engine="numpy", seed=1))
    """
    last = [p for p in get_params(network) if _LAST.search(p.name)]
    if not last:
        raise ValueError(f"begin_near_identity: expected a network with convolutional coupling layers, got {network!r}")
    for p in last:
        p.data = np.zeros(p.shape, network.dtype)
    return network


def take_condition_as_given(network: N) -> N:
    """Have the condition as it is given: its ActNorm begins as the identity, in place of being set by the first batch;
    give the network back. To be called before training.

    It is for conditions that are on a scale of one anyway, and for features that are constant or hardly ever vary, such
    as the bits of a rare class: the first has no variance to divide by, and of the second the ActNorm would make
    numbers as large as the class is rare. The scale and shift are trained like other weights.

    Args:
        network: with a condition that goes through an ActNorm, `AN_C`: `NetworkConditionalGlow`,
            `NetworkConditionalSpline`, or a `SummarizedNet` of one, whose summary it then is.

    Raises:
        ValueError: it has no such ActNorm.

    >>> import pyinvnets as inv
    >>> G = inv.take_condition_as_given(inv.NetworkConditionalGlow(2, 3, 16, 1, 4, engine="numpy", seed=1))
    """
    norm = [p for p in get_params(network) if _OF_CONDITION.search(p.name)]
    if not norm:
        raise ValueError(f"take_condition_as_given: expected a network with a condition's ActNorm, got {network!r}")
    for p in norm:
        p.data = np.full(p.shape, float(p.name.endswith("s")), network.dtype)
    return network


class CannotInitialise(ValueError):
    """An ActNorm cannot be initialised from this batch, from another one perhaps."""


def check_initialised_from(
    title: str, pending: list[Parameter], signature: Signature, inputs: tuple[Array, ...]
) -> None:
    """Raise CannotInitialise where one of these scales and biases, which a batch has just set, cannot be used."""
    for p in pending:
        if p.data is not None and not _usable(p).all():
            raise CannotInitialise(
                f"{title}: ActNorm's {p.name} cannot be initialised from this batch: {_reason(p, signature, inputs)}"
            )


def _usable(scale_or_bias: Parameter) -> np.ndarray:
    """Where ActNorm's parameter can be used: a scale of zero, which a reversed layer may get, cannot."""
    data = to_numpy(scale_or_bias.data)
    finite = np.isfinite(data)
    return finite & (data != 0) if scale_or_bias.name.endswith("s") else finite


def _reason(parameter: Parameter, signature: Signature, inputs: tuple[Array, ...]) -> str:
    """The channel of an input that is to blame or, where none is, that of the ActNorm."""
    names = [*signature.inputs, *([] if signature.condition is None else ["the condition"])]
    for name, array in zip(names, map(to_numpy, inputs), strict=False):
        for what, channels in _unusable_channels(array).items():
            if len(channels):
                return f"channel(s) {_listed(channels)} of {name} {what}"
    return (
        f"channel(s) {_listed(np.flatnonzero(~_usable(parameter)))} have zero variance or values that are not finite; "
        "expected finite input that varies in every channel"
    )


def _unusable_channels(array: np.ndarray) -> dict[str, np.ndarray]:
    """The channels, by what is wrong with them; of a flat vector, which has none, none."""
    if array.ndim < 3:
        return {}
    rows = np.moveaxis(array, -2, 0).reshape(array.shape[-2], -1)
    constant = (rows == rows[:, :1]).all(axis=1)
    return {
        "hold values that are not finite": np.flatnonzero(~np.isfinite(rows).all(axis=1)),
        "have zero variance in it; expected a first batch in which every channel varies": np.flatnonzero(constant),
    }


def _listed(channels: np.ndarray) -> str:
    return ", ".join(map(str, channels + 1))
