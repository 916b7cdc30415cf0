"""What is wrong with a first batch from which an ActNorm cannot be initialised."""

from __future__ import annotations

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array
from .parameters import Parameter
from .signature import Signature


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
