"""The invertible recurrent inference machine: its coupling layer and its loop.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_irim.jl and src/networks/invertible_network_irim.jl; Putzky
and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
"""

from __future__ import annotations

import numpy as np

from ..kernels.layout import outward, split
from ..kernels.reversible import Reversible
from .actnorm import ActNorm
from .conv1x1 import Conv1x1
from .hint import CouplingLayerHINT
from .residual import ResidualBlock


class CouplingLayerIRIM(Reversible):
    logdet = False

    def __init__(self, rng, n_in, n_hidden, **options) -> None:
        self.C = Conv1x1(rng, n_in)
        self.RB = ResidualBlock(rng, n_in // 2, n_hidden, **options)

    fields = ("C", "RB")

    def forward_term(self, x):
        x = self.C.forward(x)
        x1, x2 = split(x)
        x2 += self.RB.forward(x1)
        return self.C.inverse(x), 0.0

    def inverse_term(self, y):
        y = self.C.forward(y)
        y1, y2 = split(y)
        y2 -= self.RB.forward(y1)
        return self.C.inverse(y), 0.0

    def jacobian(self, dx, x, tangents):
        dx, x = self.C.jacobian(dx, x, tangents)
        (dx1, dx2), (x1, x2) = split(dx), split(x)
        d_change, change = self.RB.jacobian(dx1, x1, tangents)
        dx2 += d_change
        x2 += change
        return self.C.jacobian_inverse(dx, x, tangents)

    def backward(self, dy, y, run):
        dy, y = self.C.backward_inv(dy, y, run)
        (dy1, dy2), (y1, y2) = split(dy), split(y)
        change, saved = self.RB.forward_save(y1)
        y2 -= change
        dy1 += self.RB.backward(dy2, saved, run)
        return self.C.backward(dy, y, run)

    def backward_inv(self, dx, x, run):
        dx, x = self.C.backward_inv(dx, x, run)
        (dx1, dx2), (x1, x2) = split(dx), split(x)
        change, saved = self.RB.forward_save(x1)
        x2 += change
        dx1 += self.RB.backward(-dx2, saved, run)
        return self.C.backward(dx, x, run)


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

    def backward(self, d_eta, ds, eta, s, d, operator, run):
        for layer, norm in zip(self.L[::-1], self.AN[::-1], strict=True):
            gradient, state = layer.backward(np.concatenate((d_eta, ds)), np.concatenate((eta, s)), run)
            (d_eta, ds), (eta, s) = split(gradient, 1), split(state, 1)
            step = norm.forward(self._gradient(eta, d, operator))
            s[:1] -= step
            d_step, _ = norm.backward(ds[:1].copy(), step, run)
            # As upstream has it: the derivative of psi is left out.
            d_eta = d_eta + _image(apply_adjoint(operator, apply(operator, _columns(d_step))), eta.shape)
        return d_eta, ds, eta, s
