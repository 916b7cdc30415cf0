"""NetworkGlow (Kingma and Dhariwal, 2018), https://arxiv.org/abs/1807.03039.

Source: InvertibleNetworks.jl, src/networks/invertible_network_glow.jl.
"""

from __future__ import annotations

import numpy as np

from .actnorm import ActNorm
from .coupling_glow import CouplingLayerGlow
from .layout import split
from .squeezers import ShuffleLayer


class NetworkGlow:
    def __init__(
        self,
        rng,
        n_in,
        n_hidden,
        L,
        K,
        logdet=True,
        nx=None,
        dense=False,
        freeze_conv=False,
        split_scales=False,
        k1=3,
        k2=1,
        p1=1,
        p2=0,
        s1=1,
        s2=1,
        ndims=2,
        squeezer=None,
        activation=None,
    ) -> None:
        self.L, self.K, self.logdet, self.ndims = L, K, logdet, ndims
        self.split_scales = split_scales or n_in == 1
        self.squeezer = squeezer or ShuffleLayer()
        self.n_in = n_in
        self.spatial = None
        self.AN, self.CL = {}, {}
        for i in range(1, L + 1):
            if self.split_scales:
                n_in <<= ndims
                nx = nx // 2 if dense else nx
            for j in range(1, K + 1):
                self.AN[i, j] = ActNorm(rng, n_in, logdet=logdet)
                self.CL[i, j] = CouplingLayerGlow(
                    rng,
                    n_in,
                    n_hidden,
                    nx=nx,
                    dense=dense,
                    freeze_conv=freeze_conv,
                    k1=k1,
                    k2=k2,
                    p1=p1,
                    p2=p2,
                    s1=s1,
                    s2=s2,
                    logdet=logdet,
                    activation=activation,
                    ndims=ndims,
                )
            if self.split_scales and i < L:
                n_in //= 2

    fields = ("AN", "CL")

    def _splits_after(self, i: int) -> bool:
        return self.split_scales and (i < self.L or self.L == 1)

    def forward(self, x):
        self.spatial = x.shape[2:]
        parts, logdet = [], 0.0
        for i in range(1, self.L + 1):
            if self.split_scales:
                x = self.squeezer.forward(x)
            for j in range(1, self.K + 1):
                for layer in (self.AN[i, j], self.CL[i, j]):
                    if self.logdet:
                        x, term = layer.forward(x)
                        logdet += term
                    else:
                        x = layer.forward(x)
            if self._splits_after(i):
                x, z = split(x)
                parts.append(z)
        if self.split_scales:
            x = np.concatenate([part.swapaxes(0, 1).ravel() for part in (*parts, x)])
        return (x, logdet) if self.logdet else x

    def _parts(self, vector):
        """The latent vector cut into the parts that left after each scale, and the last state."""
        sizes, spatial, channels = [], self.spatial, self.n_in
        samples = vector.size // (channels * int(np.prod(spatial)))
        for i in range(1, self.L + 1):
            spatial, channels = tuple(n // 2 for n in spatial), channels << self.ndims
            if self._splits_after(i):
                sizes.append((samples, channels - round(channels / 2), *spatial))
                channels = round(channels / 2)
        sizes.append((samples, channels, *spatial))
        cuts = np.cumsum([int(np.prod(size)) for size in sizes])[:-1]
        return [
            part.reshape(size).swapaxes(0, 1).copy() for part, size in zip(np.split(vector, cuts), sizes, strict=True)
        ]

    def inverse(self, z):
        if self.split_scales:
            *parts, z = self._parts(z)
        for i in range(self.L, 0, -1):
            if self._splits_after(i):
                z = np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                z = self.AN[i, j].inverse(self.CL[i, j].inverse(z))
            if self.split_scales:
                z = self.squeezer.inverse(z)
        return z

    def backward(self, dz, z):
        if self.split_scales:
            *d_parts, dz = self._parts(dz)
            *parts, z = self._parts(z)
        for i in range(self.L, 0, -1):
            if self._splits_after(i):
                dz, z = np.concatenate((dz, d_parts.pop())), np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                dz, z = self.AN[i, j].backward(*self.CL[i, j].backward(dz, z))
            if self.split_scales:
                dz, z = self.squeezer.inverse(dz), self.squeezer.inverse(z)
        return dz, z
