"""NetworkGlow (Kingma and Dhariwal, 2018), https://arxiv.org/abs/1807.03039.

Source: InvertibleNetworks.jl, src/networks/invertible_network_glow.jl.
"""

from __future__ import annotations

from .actnorm import ActNorm
from .coupling_glow import CouplingLayerGlow
from .multiscale import FlowSteps, Unsqueezed
from .squeezers import ShuffleLayer


class NetworkGlow(FlowSteps):
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
        split_scales = split_scales or n_in == 1
        self._set_scales(n_in, L, split_scales, (squeezer or ShuffleLayer()) if split_scales else Unsqueezed())
        self.K, self.logdet = K, logdet
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

    def _splits_after(self, i: int) -> bool:
        return self.split_scales and (i < self.L or self.L == 1)

    def _forward_scale(self, i, x):
        logdet = 0.0
        for j in range(1, self.K + 1):
            for layer in (self.AN[i, j], self.CL[i, j]):
                if self.logdet:
                    x, term = layer.forward(x)
                    logdet += term
                else:
                    x = layer.forward(x)
        return x, logdet

    def forward(self, x):
        z, logdet = self._down(self._forward_scale, x)
        return (z, logdet) if self.logdet else z
