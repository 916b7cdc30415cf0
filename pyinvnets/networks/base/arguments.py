"""Checks of constructor arguments."""

from __future__ import annotations

import itertools
import math
from typing import Any

from ...arrays.scalars import is_real
from ...arrays.spec import ArraySpec
from ...functions.activations import ActivationFunction, LeakyReLUlayer, ReLUlayer
from ...functions.squeezers import Squeezer


def counts(owner: str, least: int = 1, **values: Any) -> None:
    """Raise unless every value is an integer and at least `least`."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{owner}: {name} must be an integer, got {value!r}")
        if value < least:
            raise ValueError(f"{owner}: {name} must be at least {least}, got {value}")


def flags(owner: str, **values: Any) -> None:
    for name, value in values.items():
        if not isinstance(value, bool):
            raise TypeError(f"{owner}: {name} must be True or False, got {value!r}")


def spatial_axes(owner: str, ndims: Any) -> None:
    if ndims not in (1, 2, 3):
        raise ValueError(f"{owner}: ndims must be 1, 2 or 3, got {ndims!r}")


def image_size(owner: str, name: str, value: Any) -> tuple[int, ...]:
    """The value as a tuple: raise unless it is one to three positive integers."""
    if not isinstance(value, (tuple, list)) or not 1 <= len(value) <= 3:
        raise ValueError(f"{owner}: {name} must be a spatial size such as (64, 64), got {value!r}")
    counts(owner, **{f"{name}[{i}]": n for i, n in enumerate(value)})
    return tuple(value)


def block(owner: str, k1: Any, k2: Any, p1: Any, p2: Any, s1: Any, s2: Any) -> None:
    """Check a residual block's kernels. The second convolution has a skip around it, so it must keep the image size."""
    counts(owner, k1=k1, k2=k2, s1=s1, s2=s2)
    counts(owner, 0, p1=p1, p2=p2)
    if s2 != 1 or 2 * p2 != k2 - 1:
        raise ValueError(
            f"{owner}: the second convolution must keep the image size: s2 = 1 and k2 = 2 p2 + 1; "
            f"got k2={k2}, p2={p2}, s2={s2}"
        )
    if p1 >= k1:
        raise ValueError(f"{owner}: the padding p1 must be smaller than the kernel k1, got k1={k1}, p1={p1}")


def scale_activation(owner: str, activation: Any) -> None:
    """Check that a coupling layer's scale stays away from zero, which the last ReLU of its block often gives."""
    if not isinstance(activation, ActivationFunction):
        raise TypeError(f"{owner}: activation must be one such as SigmoidLayer(), got {activation!r}")
    if not activation.positive:
        raise ValueError(
            f"{owner}: a coupling layer cannot be inverted with {activation!r}, whose value can be zero; expected "
            "SigmoidLayer with low >= 0, Sigmoid2Layer or ExpClampLayer"
        )


def block_activation(owner: str, activation: Any) -> None:
    """Check a block's activation. Upstream takes its gradient from the input, which is right for these two only."""
    if not isinstance(activation, (ReLUlayer, LeakyReLUlayer)):
        raise ValueError(
            f"{owner}: a residual block's activation must be ReLUlayer() or LeakyReLUlayer(), got {activation!r}"
        )


def squeezing(owner: str, squeezer: Any) -> None:
    if not isinstance(squeezer, Squeezer):
        raise TypeError(f"{owner}: squeezer must be ShuffleLayer(), WaveletLayer() or HaarLayer(), got {squeezer!r}")


def splines(owner: str, n_bins: Any, bound: Any) -> None:
    """Check the splines' bins, of which each has at least a thousandth of the interval, and the interval's end."""
    counts(owner, 2, n_bins=n_bins)
    if n_bins > 500:
        raise ValueError(f"{owner}: n_bins must be at most 500, got {n_bins}")
    if not (is_real(bound) and math.isfinite(bound) and bound > 0):
        raise ValueError(f"{owner}: bound must be a positive finite number, got {bound!r}")


def smallest_size(k1: int, p1: int) -> int:
    """The smallest spatial size that the first kernel of a block fits on."""
    return max(1, k1 - 2 * p1)


def dense(owner: str, dense: bool, nx: Any) -> None:
    if dense and nx is None:
        raise ValueError(f"{owner}: dense=True needs nx=, the length of the images")
    if nx is not None:
        counts(owner, nx=nx)


def power_of_two(owner: str, n_in: Any, least: int) -> None:
    """Check that the channels can be halved again and again, as HINT does."""
    counts(owner, least, n_in=n_in)
    if n_in & (n_in - 1):
        raise ValueError(
            f"{owner}: n_in must be a power of two, since its channels are halved again and again, got {n_in}"
        )


def even(owner: str, **values: Any) -> None:
    counts(owner, 2, **values)
    for name, value in values.items():
        if value % 2:
            raise ValueError(f"{owner}: {name} must be even, got {value}")


def permutation(owner: str, permute: Any) -> None:
    if permute not in ("none", "lower", "both", "full"):
        raise ValueError(f'{owner}: permute must be "none", "lower", "both" or "full", got {permute!r}')


def architecture(owner: str, layers: Any, n_in: int, ndims: int) -> tuple[tuple[int, int], ...]:
    """The checked layers of a hyperbolic network, each a pair `(action, n_hidden)`."""
    try:
        layers = tuple((action, n_hidden) for action, n_hidden in layers)
    except (TypeError, ValueError):
        layers = ()
    if not layers:
        raise ValueError(f"{owner}: architecture must be pairs such as ((0, 8), (-1, 8)), (action, n_hidden) each")
    for action, n_hidden in layers:
        hyperbolic_action(owner, action, n_in, ndims)
        counts(owner, n_hidden=n_hidden)
        n_in = channels_after(n_in, action, ndims)
    return layers


def channels_after(n_in: int, action: int, ndims: int) -> int:
    """The channels after a hyperbolic layer.

    Raises:
        ValueError: no layer takes this action or number of axes.
    """
    if action not in (-1, 0, 1) or ndims not in (1, 2, 3):
        raise ValueError(f"action must be -1, 0 or 1, and ndims 1, 2 or 3, got {action!r} and {ndims!r}")
    return {-1: n_in << ndims, 0: n_in, 1: n_in >> ndims}[action]


def hyperbolic_action(owner: str, action: Any, n_in: int, ndims: int) -> None:
    if isinstance(action, bool) or action not in (-1, 0, 1):
        raise ValueError(f"{owner}: action must be -1, 0 or 1, got {action!r}")
    if action == 1 and n_in % 2**ndims:
        raise ValueError(
            f"{owner}: action=1 makes images of {2**ndims} channels into one, so the channels must be a multiple of "
            f"{2**ndims}, got {n_in}"
        )


def step_size(owner: str, alpha: Any) -> None:
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not math.isfinite(alpha):
        raise ValueError(f"{owner}: alpha must be a finite number, got {alpha!r}")


def hyperbolic_spaces(n_in: int, actions: list[int], smallest: int, ndims: int) -> tuple[ArraySpec, ArraySpec]:
    """The specifications of data and latent of hyperbolic layers, each of which halves, keeps or doubles images."""
    halvings = list(itertools.accumulate(-action for action in actions))
    most, last = max(0, *halvings), halvings[-1]
    n_out = n_in
    for action in actions:
        n_out = channels_after(n_out, action, ndims)

    def space(channels: int, done: int) -> ArraySpec:
        minimum = max(math.ceil(smallest * 2.0 ** (h - done)) for h in halvings)
        return ArraySpec(channels, ndims, multiple=2 ** (most - done), minimum=minimum)

    return space(n_in, 0), space(n_out, last)
