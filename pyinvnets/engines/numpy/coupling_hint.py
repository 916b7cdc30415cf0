"""The recursive coupling layer of HINT.

Each half of the channels is coupled within itself before one half conditions the other. Both halves use the same
block at the next level, so a block of level two or deeper is used more than once.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_hint.jl; Kruse et al. (2021), «HINT: Hierarchical
Invertible Neural Transport for Density Estimation and Bayesian Inference», https://arxiv.org/abs/1905.10687.
"""

from __future__ import annotations

import numpy as np

from .conv1x1 import Conv1x1
from .coupling_basic import CouplingLayerBasic
from .layout import split
from .reversible import Reversible

FINEST = 4
"""So many channels or fewer are coupled without going deeper."""


def depth(n_in: int) -> int:
    return 1 if n_in <= FINEST else 1 + depth(n_in // 2)


class CouplingLayerHINT(Reversible):
    """Works in place on `x`, except for the 1x1 convolution.

    A block used twice keeps the gradient of its last use, as upstream has it, unless `sums_shared`.
    """

    def __init__(self, rng, n_in, n_hidden, logdet=False, permute="none", **options) -> None:
        self.CL = [
            CouplingLayerBasic(rng, n_in >> level, n_hidden, logdet=logdet, **options)
            for level in range(1, depth(n_in) + 1)
        ]
        self.C = None if permute == "none" else Conv1x1(rng, n_in // 2 if permute == "lower" else n_in)
        self.logdet, self.permute = logdet, permute
        self.sums_shared = False
        self.fields = ("CL",) if permute == "none" else ("CL", "C")

    # The recursion

    def _couple(self, x, level=0) -> float | np.ndarray:
        xa, xb = split(x)
        if len(x) <= FINEST:
            return self.CL[level].forward_term(xa, xb)[2]
        term = self._couple(xb, level + 1)
        term += self.CL[level].forward_term(xa, xb)[2]
        return term + self._couple(xa, level + 1)

    def _uncouple(self, y, level=0) -> float | np.ndarray:
        ya, yb = split(y)
        if len(y) <= FINEST:
            return self.CL[level].inverse_term(ya, yb)[2]
        term = self._uncouple(ya, level + 1)
        term += self.CL[level].inverse_term(ya, yb)[2]
        return term + self._uncouple(yb, level + 1)

    def _backward(self, dy, y, level=0) -> None:
        (dya, dyb), (ya, yb) = split(dy), split(y)
        if len(y) > FINEST:
            self._backward(dya, ya, level + 1)
        self.CL[level].backward(dya, dyb, ya, yb)
        if len(y) > FINEST:
            first = [p.grad.copy() for p in self._deeper(level)] if self.sums_shared else []
            self._backward(dyb, yb, level + 1)
            for p, gradient in zip(self._deeper(level), first, strict=False):
                p.add_grad(gradient)

    def _deeper(self, level):
        """The parameters of the blocks that both halves of this level use."""
        return [getattr(layer.RB, field) for layer in self.CL[level + 1 :] for field in layer.RB.fields]

    def _jacobian(self, dx, x, level=0) -> None:
        (dxa, dxb), (xa, xb) = split(dx), split(x)
        if len(x) > FINEST:
            self._jacobian(dxb, xb, level + 1)
        self.CL[level].jacobian(dxa, dxb, xa, xb)
        if len(x) > FINEST:
            self._jacobian(dxa, xa, level + 1)

    def _backward_inv(self, dx, x, level=0) -> None:
        (dxa, dxb), (xa, xb) = split(dx), split(x)
        if len(x) > FINEST:
            self._backward_inv(dxb, xb, level + 1)
        self.CL[level].backward_inv(dxa, dxb, xa, xb)
        if len(x) > FINEST:
            self._backward_inv(dxa, xa, level + 1)

    # The permutation around it

    def forward_term(self, x):
        if self.permute in ("full", "both"):
            x = self.C.forward(x)
        elif self.permute == "lower":
            xb = split(x)[1]
            xb[...] = self.C.forward(xb)
        term = self._couple(x)
        return (self.C.inverse(x) if self.permute == "both" else x), term

    def inverse_term(self, y):
        if self.permute == "both":
            y = self.C.forward(y)
        term = self._uncouple(y)
        if self.permute in ("full", "both"):
            y = self.C.inverse(y)
        elif self.permute == "lower":
            yb = split(y)[1]
            yb[...] = self.C.inverse(yb)
        return y, term

    def backward(self, dy, y):
        if self.permute == "both":
            dy, y = self.C.backward_inv(dy, y)
        self._backward(dy, y)
        if self.permute in ("full", "both"):
            return self.C.backward(dy, y)
        if self.permute == "lower":
            (_, dyb), (_, yb) = split(dy), split(y)
            dyb[...], yb[...] = self.C.backward(dyb, yb)
        return dy, y

    def jacobian(self, dx, x):
        if self.permute in ("full", "both"):
            dx, x = self.C.jacobian(dx, x)
        elif self.permute == "lower":
            (_, dxb), (_, xb) = split(dx), split(x)
            dxb[...], xb[...] = self.C.jacobian(dxb, xb)
        self._jacobian(dx, x)
        return self.C.jacobian_inverse(dx, x) if self.permute == "both" else (dx, x)

    def backward_inv(self, dx, x):
        if self.permute in ("full", "both"):
            dx, x = self.C.backward_inv(dx, x)
        elif self.permute == "lower":
            (_, dxb), (_, xb) = split(dx), split(x)
            dxb[...], xb[...] = self.C.backward_inv(dxb, xb)
        self._backward_inv(dx, x)
        return self.C.backward(dx, x) if self.permute == "both" else (dx, x)
