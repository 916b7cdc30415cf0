"""The multiscale HINT network.

Source: InvertibleNetworks.jl, src/networks/invertible_network_hint_multiscale.jl; Kruse et al. (2021), «HINT:
Hierarchical Invertible Neural Transport for Density Estimation and Bayesian Inference»,
https://arxiv.org/abs/1905.10687.
"""

from __future__ import annotations

from .actnorm import ActNorm
from .coupling_hint import CouplingLayerHINT
from .multiscale import FlowSteps
from .squeezers import WaveletLayer


class NetworkMultiScaleHINT(FlowSteps):
    def __init__(self, rng, n_in, n_hidden, L, K, split_scales=False, ndims=2, **options) -> None:
        self._set_scales(n_in, L, split_scales, WaveletLayer())
        self.K = K
        self.AN, self.CL = {}, {}
        for i in range(1, L + 1):
            n_in <<= ndims
            for j in range(1, K + 1):
                self.AN[i, j] = ActNorm(rng, n_in, logdet=True)
                self.CL[i, j] = CouplingLayerHINT(
                    rng, n_in, n_hidden, logdet=True, permute="full", ndims=ndims, **options
                )
            if self._splits_after(i):
                n_in //= 2

    def _forward_scale(self, i, x):
        logdet = 0.0
        for j in range(1, self.K + 1):
            x, term = self.AN[i, j].forward(x)
            x, term_coupling = self.CL[i, j].forward(x)
            logdet += term + term_coupling
        return x, logdet

    def forward(self, x):
        return self._down(self._forward_scale, x)
