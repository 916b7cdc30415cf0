"""The conditional coupling layer of GLOW and the network of such layers.

Source: InvertibleNetworks.jl, src/conditional_layers/conditional_layer_glow.jl and
src/networks/invertible_network_conditional_glow.jl; Ardizzone et al. (2019), «Guided image generation with
conditional invertible neural networks», https://arxiv.org/abs/1907.02392.
"""

from __future__ import annotations

import numpy as np

from .activations import SigmoidLayer
from .actnorm import ActNorm
from .blocks import ResidualBlock
from .conv1x1 import Conv1x1
from .coupling_glow import log_determinant
from .layout import split
from .multiscale import joined, part_shapes, parts_of
from .squeezers import ShuffleLayer


class ConditionalLayerGlow:
    def __init__(
        self,
        rng,
        n_in,
        n_cond,
        n_hidden,
        freeze_conv=False,
        logdet=False,
        activation=None,
        rb_activation=None,
        **options,
    ) -> None:
        changed = round(n_in / 2)
        self.C = Conv1x1(rng, n_in, freeze=freeze_conv)
        self.RB = ResidualBlock(
            rng, n_in - changed + n_cond, n_hidden, n_out=2 * changed, activation=rb_activation, fan=True, **options
        )
        self.logdet = logdet
        self.activation = activation or SigmoidLayer()

    fields = ("C", "RB")

    def _scale_shift(self, x2, c):
        log_scale_shift, saved = self.RB.forward_save(np.concatenate((x2, c)))
        log_scale, shift = split(log_scale_shift)
        return self.activation.forward(log_scale), shift, saved

    def forward(self, x, c):
        y = self.C.forward(x)
        y1, y2 = split(y)
        scale, shift, _ = self._scale_shift(y2, c)
        y1 *= scale
        y1 += shift
        return (y, log_determinant(scale)) if self.logdet else y

    def _undo_coupling(self, y, c):
        """Turn `y` into the coupling's input, in place."""
        y1, y2 = split(y)
        scale, shift, saved = self._scale_shift(y2, c)
        y1 -= shift
        y1 /= scale + np.finfo(y.dtype).eps
        return scale, saved

    def inverse(self, y, c):
        self._undo_coupling(y, c)
        return self.C.inverse(y)

    def backward(self, dy, y, c):
        scale, saved = self._undo_coupling(y, c)
        (dy1, dy2), (x1, _) = split(dy), split(y)
        d_scale = dy1 * x1
        if self.logdet:
            d_scale -= 1 / (scale * y.shape[1])
        d_block = np.concatenate((self.activation.backward(d_scale, scale), dy1))
        dy1 *= scale
        dx2, dc = split(self.RB.backward(d_block, saved), len(dy2))
        dy2 += dx2
        dx, x = self.C.backward(dy, y)
        return dx, x, dc


class NetworkConditionalGlow:
    """The latent keeps the data's shape; with `split_scales` its memory holds the parts one after the other."""

    def __init__(
        self, rng, n_in, n_cond, n_hidden, L, K, split_scales=False, ndims=2, squeezer=None, **options
    ) -> None:
        self.L, self.K, self.ndims, self.split_scales = L, K, ndims, split_scales
        self.squeezer = squeezer or ShuffleLayer()
        self.AN_C = ActNorm(rng, n_cond)
        self.AN, self.CL = {}, {}
        for i in range(1, L + 1):
            if split_scales:
                n_in, n_cond = n_in << ndims, n_cond << ndims
            for j in range(1, K + 1):
                self.AN[i, j] = ActNorm(rng, n_in, logdet=True)
                self.CL[i, j] = ConditionalLayerGlow(rng, n_in, n_cond, n_hidden, logdet=True, ndims=ndims, **options)
            if split_scales and i < L:
                n_in //= 2

    fields = ("AN", "AN_C", "CL")

    def forward(self, x, c):
        shape = x.shape
        c = self.AN_C.forward(c)
        parts, logdet = [], 0.0
        for i in range(1, self.L + 1):
            if self.split_scales:
                x, c = self.squeezer.forward(x), self.squeezer.forward(c)
            for j in range(1, self.K + 1):
                x, term = self.AN[i, j].forward(x)
                x, term_coupling = self.CL[i, j].forward(x, c)
                logdet += term + term_coupling
            if self.split_scales and i < self.L:
                x, z = split(x)
                parts.append(z)
        if self.split_scales:
            x = parts_of(joined([*parts, x]), [(shape[0], *shape[2:])])[0]
        return x, c, logdet

    def _parts(self, z):
        shapes = part_shapes(len(z), z.shape[2:], [True] * (self.L - 1) + [False])
        return parts_of(joined([z]), shapes)

    def inverse(self, z, c):
        if self.split_scales:
            *parts, z = self._parts(z)
        for i in range(self.L, 0, -1):
            if self.split_scales and i < self.L:
                z = np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                z = self.AN[i, j].inverse(self.CL[i, j].inverse(z, c))
            if self.split_scales:
                z, c = self.squeezer.inverse(z), self.squeezer.inverse(c)
        return z

    def backward(self, dz, z, c):
        if self.split_scales:
            *d_parts, dz = self._parts(dz)
            *parts, z = self._parts(z)
        dc = np.zeros_like(c)
        for i in range(self.L, 0, -1):
            if self.split_scales and i < self.L:
                dz, z = np.concatenate((dz, d_parts.pop())), np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                dz, z, term = self.CL[i, j].backward(dz, z, c)
                dz, z = self.AN[i, j].backward(dz, z)
                dc += term
            if self.split_scales:
                dz, z, dc, c = map(self.squeezer.inverse, (dz, z, dc, c))
        dc, _ = self.AN_C.backward(dc, c)
        return dz, z, dc
