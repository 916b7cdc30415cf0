"""The conditional residual block: a dense layer brings the data to the image's shape, then both go through three
convolutions.

Source: InvertibleNetworks.jl, src/conditional_layers/conditional_layer_residual_block.jl.
"""

from __future__ import annotations

import numpy as np

from .activations import ReLUlayer
from .blocks import ResidualBlock
from .layout import split
from .params import glorot_uniform, zeros

_RELU = ReLUlayer()


def _rows(x):
    """`(n_samples, all of a sample)` in Julia's order."""
    return x.swapaxes(0, 1).reshape(x.shape[1], -1)


def _image(rows, shape):
    """The image `(n_channels, *spatial)` of each row, channels first."""
    return rows.reshape(len(rows), *shape).swapaxes(0, 1)


class ConditionalResidualBlock:
    def __init__(self, rng, nx1, nx2, nx_in, ny1, ny2, ny_in, n_hidden, batchsize, **options) -> None:
        self.shape = (nx_in, nx2, nx1)
        size = nx1 * nx2 * nx_in
        self.W0, self.b0 = glorot_uniform(rng, size, ny1 * ny2 * ny_in), zeros(size)
        self.block = ResidualBlock(rng, 2 * nx_in, n_hidden, n_out=nx_in, fan=True, **options)
        for field in self.block.fields:
            setattr(self, field, getattr(self.block, field))

    fields = ("W0", "W1", "W2", "W3", "b0", "b1", "b2")

    def _forward(self, x, d):
        rows = _rows(d)
        dense = rows @ self.W0.data
        dense += self.b0.data
        joined = np.concatenate((x, _image(_RELU.forward(dense), self.shape)))
        return rows, dense, *self.block.forward_save(joined)

    def forward(self, x, d):
        return self._forward(x, d)[2], d

    def backward(self, dz, dd, x, d):
        rows, dense, _, saved = self._forward(x, d)
        dx, d_image = split(self.block.backward(dz, saved), len(x))
        d_dense = _RELU.gate(_rows(d_image), dense)
        np.matmul(rows.T, d_dense, out=self.W0.grad_out())
        d_dense.sum(axis=0, out=self.b0.grad_out())
        dd += _image(d_dense @ self.W0.data.T, (len(d), *d.shape[2:]))
        return dx, dd

    def jacobian(self, dx, dd, x, d):
        rows = _rows(d)
        dense = rows @ self.W0.data + self.b0.data
        d_dense = _RELU.gate(_rows(dd) @ self.W0.data + rows @ self.W0.tangent + self.b0.tangent, dense)
        dz, z = self.block.jacobian(
            np.concatenate((dx, _image(d_dense, self.shape))),
            np.concatenate((x, _image(_RELU.forward(dense), self.shape))),
        )
        return dz, dd, z, d
