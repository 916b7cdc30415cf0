"""The affine layer: a scale and a bias for every pixel.

Source: InvertibleNetworks.jl, src/layers/layer_affine.jl.
"""

from __future__ import annotations

import numpy as np

from ..kernels.params import glorot_uniform, zeros
from ..kernels.reversible import Reversible


class AffineLayer(Reversible):
    def __init__(self, rng, nx, ny, nc, logdet=False) -> None:
        self.s, self.b = glorot_uniform(rng, nx, ny, nc), zeros(nx, ny, nc)
        self.logdet = logdet

    fields = ("s", "b")

    def forward_term(self, x):
        x *= self.s.data[:, None]
        x += self.b.data[:, None]
        return x, self._term()

    def _term(self) -> float:
        return float(np.log(np.abs(self.s.data)).sum()) if self.logdet else 0.0

    def jacobian(self, dx, x, tangents):
        dx *= self.s.data[:, None]
        dx += tangents[self.s][:, None] * x + tangents[self.b][:, None]
        x *= self.s.data[:, None]
        x += self.b.data[:, None]
        return dx, x

    def inverse(self, y):
        y -= self.b.data[:, None]
        y /= self.s.data[:, None]
        return y

    def inverse_term(self, y):
        return self.inverse(y), self._term()

    def backward(self, dy, y, run):
        x = self.inverse(y)
        ds = (dy * x).sum(axis=1)
        if self.logdet and run.logdets:
            ds -= y.shape[1] / run.samples / self.s.data
        run.gradients.set(self.s, ds)
        dy.sum(axis=1, out=run.gradients.out(self.b))
        dy *= self.s.data[:, None]
        return dy, x

    def backward_inv(self, dx, x, run):
        dx /= self.s.data[:, None]
        ds = -(dx * x).sum(axis=1)
        if self.logdet and run.logdets:
            ds += x.shape[1] / run.samples / self.s.data
        run.gradients.set(self.s, ds)
        run.gradients.set(self.b, -dx.sum(axis=1))
        return dx, self.forward_term(x)[0]
