"""The multiscale HINT network.

Source: InvertibleNetworks.jl, src/networks/invertible_network_hint_multiscale.jl; Kruse et al. (2021), «HINT:
Hierarchical Invertible Neural Transport for Density Estimation and Bayesian Inference»,
https://arxiv.org/abs/1905.10687.
"""

from __future__ import annotations

from .actnorm import ActNorm
from .coupling_hint import CouplingLayerHINT
from .multiscale import Scales
from .squeezers import WaveletLayer


class NetworkMultiScaleHINT(Scales):
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

    fields = ("AN", "CL")

    def _forward_scale(self, i, x):
        logdet = 0.0
        for j in range(1, self.K + 1):
            x, term = self.AN[i, j].forward(x)
            x, term_coupling = self.CL[i, j].forward(x)
            logdet += term + term_coupling
        return x, logdet

    def _inverse_scale(self, i, x):
        for j in range(self.K, 0, -1):
            x = self.AN[i, j].inverse(self.CL[i, j].inverse(x))
        return x, 0.0

    def _backward_scale(self, i, dx, x):
        for j in range(self.K, 0, -1):
            dx, x = self.AN[i, j].backward(*self.CL[i, j].backward(dx, x))
        return dx, x, 0.0

    def _jacobian_scale(self, i, dx, x):
        for j in range(1, self.K + 1):
            dx, x = self.CL[i, j].jacobian(*self.AN[i, j].jacobian(dx, x))
        return dx, x, 0.0

    def forward(self, x):
        return self._down(self._forward_scale, x)

    def inverse(self, z):
        return self._up(self._inverse_scale, z)[0]

    def backward(self, dz, z):
        return self._up(self._backward_scale, dz, z)[:-1]

    def jacobian(self, dx, x):
        return self._down(self._jacobian_scale, dx, x)[:-1]
