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
from .coupling_glow import AffineCoupling
from .layout import split
from .multiscale import joined, part_shapes, parts_of
from .squeezers import ShuffleLayer


class ConditionalLayerGlow(AffineCoupling):
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
