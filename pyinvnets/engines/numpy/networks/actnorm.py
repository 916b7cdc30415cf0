"""Activation normalisation (Kingma and Dhariwal, 2018), https://arxiv.org/abs/1807.03039.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_actnorm.jl.
"""

from __future__ import annotations

import numpy as np

from ..kernels.layout import flat, per_channel
from ..kernels.params import Param
from ..kernels.reversible import Reversible


def _deviation(rows: np.ndarray) -> np.ndarray:
    """The standard deviation of each channel; of a single value there is none, of which NumPy would warn."""
    if rows.shape[1] == 1:
        return np.full(len(rows), np.nan, rows.dtype)
    return np.sqrt(rows.var(axis=1, ddof=1))


class ActNorm(Reversible):
    def __init__(self, rng, k: int, logdet: bool = False) -> None:
        self.s, self.b = Param(shape=(k,)), Param(shape=(k,))
        self.logdet = logdet

    fields = ("s", "b")

    def _initialise(self, rows: np.ndarray) -> None:
        deviation = _deviation(rows)
        self.s.set_data(1 / deviation)
        self.b.set_data(-rows.mean(axis=1) / deviation)

    def forward_term(self, x):
        rows = flat(x)
        if self.s.data is None:
            self._initialise(rows)
        rows *= per_channel(self.s.data)
        rows += per_channel(self.b.data)
        return x, self._term(x)

    def _term(self, x) -> float:
        """The log-determinant for an image of the size of `x`."""
        if not self.logdet:
            return 0.0
        return flat(x).shape[1] // x.shape[1] * float(np.log(np.abs(self.s.data)).sum())

    def inverse_term(self, y):
        """The inverse and the log-determinant of `forward`. Reversed, the layer is set by the first batch here."""
        if self.s.data is None:
            rows = flat(y)
            self.s.set_data(_deviation(rows))
            self.b.set_data(rows.mean(axis=1))
        x = self.inverse(y)
        return x, self._term(x)

    def inverse(self, y):
        rows = flat(y)
        rows -= per_channel(self.b.data)
        rows /= per_channel(self.s.data)
        return y

    def backward(self, dy, y, run):
        s = self.s.data
        x = self.inverse(y)
        delta = flat(dy)
        ds = np.einsum("cm,cm->c", delta, flat(x))
        if self.logdet and run.logdets:
            ds -= delta.shape[1] / run.samples / s
        run.gradients.set(self.s, ds)
        delta.sum(axis=1, out=run.gradients.out(self.b))
        delta *= per_channel(s)
        return dy, x

    def jacobian(self, dx, x, tangents):
        rows, delta = flat(x), flat(dx)
        delta *= per_channel(self.s.data)
        delta += per_channel(tangents[self.s]) * rows
        delta += per_channel(tangents[self.b])
        rows *= per_channel(self.s.data)
        rows += per_channel(self.b.data)
        return dx, x

    def backward_inv(self, dx, x, run):
        s = self.s.data
        delta, rows = flat(dx), flat(x)
        delta /= per_channel(s)
        ds = -np.einsum("cm,cm->c", delta, rows)
        if self.logdet and run.logdets:
            ds += delta.shape[1] / run.samples / s
        run.gradients.set(self.s, ds)
        run.gradients.set(self.b, -delta.sum(axis=1))
        rows *= per_channel(s)
        rows += per_channel(self.b.data)
        return dx, x
