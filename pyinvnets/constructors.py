"""Checks of constructor arguments."""

from __future__ import annotations

from typing import Any

from .activations import ActivationFunction, LeakyReLUlayer, ReLUlayer, Squeezer


def counts(owner: str, least: int = 1, **values: Any) -> None:
    """Raise unless every value is an integer of at least `least`."""
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


def block(owner: str, k1: Any, k2: Any, p1: Any, p2: Any, s1: Any, s2: Any) -> None:
    """The kernels of a residual block: the second convolution has a skip around it, so it must keep the size."""
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
    """The scale of a coupling layer must stay away from zero, where its block's last ReLU often is."""
    if not isinstance(activation, ActivationFunction):
        raise TypeError(f"{owner}: activation must be one such as SigmoidLayer(), got {activation!r}")
    if not activation.positive:
        raise ValueError(
            f"{owner}: a coupling layer cannot be inverted with {activation!r}, whose value can be zero; expected "
            "SigmoidLayer with low >= 0, Sigmoid2Layer or ExpClampLayer"
        )


def block_activation(owner: str, activation: Any) -> None:
    """Upstream takes the gradient of a block's activation from its input, which is right for these two only."""
    if not isinstance(activation, (ReLUlayer, LeakyReLUlayer)):
        raise ValueError(
            f"{owner}: a residual block's activation must be ReLUlayer() or LeakyReLUlayer(), got {activation!r}"
        )


def squeezing(owner: str, squeezer: Any) -> None:
    if not isinstance(squeezer, Squeezer):
        raise TypeError(f"{owner}: squeezer must be ShuffleLayer(), WaveletLayer() or HaarLayer(), got {squeezer!r}")


def smallest_size(k1: int, p1: int) -> int:
    """The smallest spatial size that a block's first kernel fits on."""
    return max(1, k1 - 2 * p1)


def dense(owner: str, dense: bool, nx: Any) -> None:
    if dense and nx is None:
        raise ValueError(f"{owner}: dense=True needs nx=, the length of the images")
    if nx is not None:
        counts(owner, nx=nx)
