"""The invertible recurrent inference machine: an unrolled loop of gradient steps, each followed by a coupling layer.

Source: InvertibleNetworks.jl, src/networks/invertible_network_irim.jl; Putzky and Welling (2019), «Invert to Learn
to Invert», https://arxiv.org/abs/1911.10914.
"""

from __future__ import annotations

import numpy as np

from .actnorm import ActNorm
from .coupling_hint import CouplingLayerHINT
from .coupling_irim import CouplingLayerIRIM
from .layout import outward, split


def apply(operator, x):
    """`operator` times each column of `x`."""
    if isinstance(operator, np.ndarray):
        return operator @ x
    return np.stack([np.ravel(operator.matvec(column)) for column in x.T], axis=1).astype(x.dtype, copy=False)


def apply_adjoint(operator, y):
    if isinstance(operator, np.ndarray):
        return operator.T @ y
    return np.stack([np.ravel(operator.rmatvec(column)) for column in y.T], axis=1).astype(y.dtype, copy=False)


def _columns(image):
    """`(pixels, n_samples)` of an image with one channel."""
    return image.reshape(image.shape[1], -1).T


def _image(columns, shape):
    return np.ascontiguousarray(columns.T).reshape(shape)


class NetworkLoop:
    def __init__(self, rng, n_in, n_hidden, maxiter, psi, type="additive", **options) -> None:
        if type == "additive":
            self.L = [CouplingLayerIRIM(rng, n_in, n_hidden, **options) for _ in range(maxiter)]
        else:
            self.L = [CouplingLayerHINT(rng, n_in, n_hidden, permute="both", **options) for _ in range(maxiter)]
        self.AN = [ActNorm(rng, 1) for _ in range(maxiter)]
        self.psi = psi

    fields = ("L", "AN")

    def _link(self, eta):
        image = outward(eta).copy(order="F")
        linked = np.asarray(self.psi(image), dtype=eta.dtype)
        if linked.shape != image.shape:
            raise ValueError(
                f"NetworkLoop: psi must keep the shape of its argument, {image.shape}, got shape {linked.shape}"
            )
        return linked.reshape(-1, eta.shape[1], order="F")

    def _gradient(self, eta, d, operator):
        """Of `|A psi(eta) - d|^2 / 2` with respect to what `psi` gives."""
        residual = apply(operator, self._link(eta)) - d
        return _image(apply_adjoint(operator, residual), eta.shape)

    def forward(self, eta, s, d, operator):
        for layer, norm in zip(self.L, self.AN, strict=True):
            s[:1] += norm.forward(self._gradient(eta, d, operator))
            eta, s = split(layer.forward(np.concatenate((eta, s))), 1)
        return eta, s

    def inverse(self, eta, s, d, operator):
        for layer, norm in zip(self.L[::-1], self.AN[::-1], strict=True):
            eta, s = split(layer.inverse(np.concatenate((eta, s))), 1)
            s[:1] -= norm.forward(self._gradient(eta, d, operator))
        return eta, s

    def backward(self, d_eta, ds, eta, s, d, operator):
        for layer, norm in zip(self.L[::-1], self.AN[::-1], strict=True):
            gradient, state = layer.backward(np.concatenate((d_eta, ds)), np.concatenate((eta, s)))
            (d_eta, ds), (eta, s) = split(gradient, 1), split(state, 1)
            step = norm.forward(self._gradient(eta, d, operator))
            s[:1] -= step
            d_step, _ = norm.backward(ds[:1].copy(), step)
            # As upstream has it: the derivative of psi is left out.
            d_eta = d_eta + _image(apply_adjoint(operator, apply(operator, _columns(d_step))), eta.shape)
        return d_eta, ds, eta, s
