"""The affine coupling layer over two arrays: the second is scaled and shifted by what a block makes of the first.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_basic.jl; Dinh et al. (2017), «Density estimation using
Real NVP», https://arxiv.org/abs/1605.08803.
"""

from __future__ import annotations

import numpy as np

from ..kernels.activations import SigmoidLayer
from ..kernels.layout import split
from ..kernels.reversible import Reversible
from .glow import couple_tangent, log_determinants
from .residual import ResidualBlock


class CouplingLayerBasic(Reversible):
    lanes = 2

    def __init__(
        self, rng, n_in, n_hidden, k1=3, k2=3, p1=1, p2=1, s1=1, s2=1, logdet=False, activation=None, ndims=2
    ) -> None:
        self.RB = ResidualBlock(rng, n_in, n_hidden, k1=k1, k2=k2, p1=p1, p2=p2, s1=s1, s2=s2, fan=True, ndims=ndims)
        self.logdet = logdet
        self.activation = activation or SigmoidLayer()

    fields = ("RB",)

    def _scale_shift(self, x1):
        log_scale_shift, saved = self.RB.forward_save(x1)
        log_scale, shift = split(log_scale_shift)
        return self.activation.forward(log_scale), shift, saved

    def _term(self, scale) -> float | np.ndarray:
        return log_determinants(scale) if self.logdet else 0.0

    def _couple(self, x1, x2):
        """Turn `x2` into the second output, in place."""
        scale, shift, saved = self._scale_shift(x1)
        x2 *= scale
        x2 += shift
        return scale, saved

    def _uncouple(self, y1, y2):
        scale, shift, saved = self._scale_shift(y1)
        y2 -= shift
        y2 /= scale + np.finfo(y2.dtype).eps
        return scale, saved

    def forward_term(self, x1, x2):
        scale, _ = self._couple(x1, x2)
        return x1, x2, self._term(scale)

    def inverse_term(self, y1, y2):
        scale, _ = self._uncouple(y1, y2)
        return y1, y2, self._term(scale)

    def _block_gradient(self, d_scale, d_shift, scale, saved, run):
        return self.RB.backward(np.concatenate((self.activation.backward(d_scale, scale), d_shift)), saved, run)

    def backward(self, dy1, dy2, y1, y2, run):
        scale, saved = self._uncouple(y1, y2)
        d_scale = dy2 * y2
        if self.logdet and run.logdets:
            d_scale -= 1 / (scale * run.samples)
        dy1 += self._block_gradient(d_scale, dy2, scale, saved, run)
        dy2 *= scale
        return dy1, dy2, y1, y2

    def jacobian(self, dx1, dx2, x1, x2, tangents):
        d_block, block = self.RB.jacobian(dx1, x1, tangents)
        couple_tangent(self.activation, dx2, x2, d_block, block)
        return dx1, dx2, x1, x2

    def backward_inv(self, dx1, dx2, x1, x2, run):
        x2_before = x2.copy()
        scale, saved = self._couple(x1, x2)
        dx2 /= -scale
        d_scale = dx2 * x2_before
        if self.logdet and run.logdets:
            d_scale += 1 / (scale * run.samples)
        dx1 += self._block_gradient(d_scale, dx2, scale, saved, run)
        np.negative(dx2, out=dx2)
        return dx1, dx2, x1, x2
