"""The additive coupling layer of i-RIM, between a 1x1 convolution and its inverse.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_irim.jl; Putzky and Welling (2019), «Invert to Learn to
Invert», https://arxiv.org/abs/1911.10914.
"""

from __future__ import annotations

from .blocks import ResidualBlock
from .conv1x1 import Conv1x1
from .layout import split


class CouplingLayerIRIM:
    def __init__(self, rng, n_in, n_hidden, **options) -> None:
        self.C = Conv1x1(rng, n_in)
        self.RB = ResidualBlock(rng, n_in // 2, n_hidden, **options)

    fields = ("C", "RB")

    def forward(self, x):
        x = self.C.forward(x)
        x1, x2 = split(x)
        x2 += self.RB.forward(x1)
        return self.C.inverse(x)

    def inverse(self, y):
        y = self.C.forward(y)
        y1, y2 = split(y)
        y2 -= self.RB.forward(y1)
        return self.C.inverse(y)

    def jacobian(self, dx, x):
        dx, x = self.C.jacobian(dx, x)
        (dx1, dx2), (x1, x2) = split(dx), split(x)
        d_change, change = self.RB.jacobian(dx1, x1)
        dx2 += d_change
        x2 += change
        return self.C.jacobian_inverse(dx, x)

    def backward(self, dy, y):
        dy, y = self.C.backward_inv(dy, y)
        (dy1, dy2), (y1, y2) = split(dy), split(y)
        change, saved = self.RB.forward_save(y1)
        y2 -= change
        dy1 += self.RB.backward(dy2, saved)
        return self.C.backward(dy, y)
