"""Activation normalisation (Kingma and Dhariwal, 2018), https://arxiv.org/abs/1807.03039.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_actnorm.jl.
"""

from __future__ import annotations

import numpy as np

from .layout import flat, per_channel
from .params import Param


class ActNorm:
    def __init__(self, rng, k: int, logdet: bool = False) -> None:
        self.s, self.b = Param(shape=(k,)), Param(shape=(k,))
        self.logdet = logdet

    fields = ("s", "b")

    def _initialise(self, rows: np.ndarray) -> None:
        deviation = np.sqrt(rows.var(axis=1, ddof=1))
        self.s.set_data(1 / deviation)
        self.b.set_data(-rows.mean(axis=1) / deviation)

    def forward(self, x):
        rows = flat(x)
        if self.s.data is None:
            self._initialise(rows)
        rows *= per_channel(self.s.data)
        rows += per_channel(self.b.data)
        if not self.logdet:
            return x
        return x, rows.shape[1] // x.shape[1] * float(np.log(np.abs(self.s.data)).sum())

    def inverse(self, y):
        rows = flat(y)
        rows -= per_channel(self.b.data)
        rows /= per_channel(self.s.data)
        return y

    def backward(self, dy, y):
        s = self.s.data
        x = self.inverse(y)
        delta = flat(dy)
        ds = np.einsum("cm,cm->c", delta, flat(x))
        if self.logdet:
            ds -= delta.shape[1] // y.shape[1] / s
        self.s.set_grad(ds)
        delta.sum(axis=1, out=self.b.grad_out())
        delta *= per_channel(s)
        return dy, x
