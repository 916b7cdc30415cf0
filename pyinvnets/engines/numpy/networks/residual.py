"""Residual blocks: what coupling layers compute their scale and shift with.

Source: InvertibleNetworks.jl, src/layers/layer_residual_block.jl, adapted there from Putzky and Welling (2019), «Invert
to Learn to Invert», https://arxiv.org/abs/1911.10914; src/layers/layer_flux_block.jl; and
src/conditional_layers/conditional_layer_residual_block.jl.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..kernels.activations import GaLUlayer, ReLUlayer
from ..kernels.convolution import geometry
from ..kernels.layout import flat, per_channel, samples_last, samples_second, split
from ..kernels.params import glorot_uniform, zeros


class ResidualBlock:
    """Three convolutions, the second with a skip around it, the third transposed. With `fan` the activation is at the
    end too, or the `ending` given instead."""

    def __init__(
        self,
        rng,
        n_in,
        n_hidden,
        n_out=None,
        activation=None,
        k1=3,
        k2=3,
        p1=1,
        p2=1,
        s1=1,
        s2=1,
        fan=False,
        ndims=2,
        ending=None,
    ) -> None:
        n_out = 2 * n_in if n_out is None else n_out
        self.W1 = glorot_uniform(rng, *(k1,) * ndims, n_in, n_hidden)
        self.W2 = glorot_uniform(rng, *(k2,) * ndims, n_hidden, n_hidden)
        self.W3 = glorot_uniform(rng, *(k1,) * ndims, n_out, n_hidden)
        self.b1, self.b2 = zeros(n_hidden), zeros(n_hidden)
        self.activation = activation or ReLUlayer()
        self.ending = ending or (self.activation if fan else GaLUlayer())
        self.outer = ((k1,) * ndims, s1, p1)
        self.inner = ((k2,) * ndims, s2, p2)

    fields = ("W1", "W2", "W3", "b1", "b2")

    def _skip_matrix(self, inner) -> np.ndarray:
        """The second convolution's matrix with the skip added: `y + conv(y)` is one product."""
        matrix = inner.matrix(self.W2.data).copy()
        n_hidden = len(matrix)
        centre = np.ravel_multi_index(
            [(k - 1) // 2 - t.start for k, t in zip(inner.kernel, inner.taps, strict=True)], inner.n_taps
        )
        matrix.reshape(n_hidden, n_hidden, -1)[np.arange(n_hidden), np.arange(n_hidden), centre] += 1
        return matrix

    def forward(self, x):
        return self.forward_save(x)[0]

    def forward_save(self, x):
        samples = x.shape[1]
        outer = geometry(x.shape[2:], *self.outer)
        inner = geometry(outer.out, *self.inner)
        skip = self._skip_matrix(inner)
        x1 = outer.gather(samples_last(x))
        y1 = outer.matrix(self.W1.data) @ x1
        y1 += per_channel(self.b1.data)
        x2 = inner.gather(self.activation.forward(y1).reshape(-1, *outer.out, samples))
        y2 = skip @ x2
        y2 += per_channel(self.b2.data)
        x3 = self.activation.forward(y2)
        y3 = samples_second(outer.scatter(outer.matrix(self.W3.data).T @ x3, samples))
        return self.ending.forward(y3), (outer, inner, skip, x1, y1, x2, y2, x3, y3)

    def backward(self, delta, saved, run):
        outer, inner, skip, x1, y1, x2, y2, x3, y3 = saved
        samples = y3.shape[1]
        gate = self.activation.gate
        d3 = gate(delta, y3) if self.ending is self.activation else self.ending.backward(delta, y3)
        d3 = outer.gather(samples_last(d3))
        outer.matrix_gradient(x3, d3, run.gradients.out(self.W3))
        d2 = gate(outer.matrix(self.W3.data) @ d3, y2)
        inner.matrix_gradient(d2, x2, run.gradients.out(self.W2))
        d2.sum(axis=1, out=run.gradients.out(self.b2))
        d1 = gate(flat(inner.scatter(skip.T @ d2, samples)), y1)
        outer.matrix_gradient(d1, x1, run.gradients.out(self.W1))
        d1.sum(axis=1, out=run.gradients.out(self.b1))
        return samples_second(outer.scatter(outer.matrix(self.W1.data).T @ d1, samples))

    def backward_from_input(self, delta, x, run):
        """`backward`, with the states computed from the input."""
        return self.backward(delta, self.forward_save(x)[1], run)

    def jacobian(self, dx, x, tangents):
        """The derivative along `dx` and the parameters' tangents, and the output."""
        output, (outer, inner, skip, x1, y1, x2, y2, x3, y3) = self.forward_save(x)
        samples = x.shape[1]
        gate = self.activation.gate
        d1 = outer.matrix(self.W1.data) @ outer.gather(samples_last(dx)) + outer.matrix(tangents[self.W1]) @ x1
        d1 += per_channel(tangents[self.b1])
        d2 = skip @ inner.gather(gate(d1, y1).reshape(-1, *outer.out, samples)) + inner.matrix(tangents[self.W2]) @ x2
        d2 += per_channel(tangents[self.b2])
        columns = outer.matrix(self.W3.data).T @ gate(d2, y2) + outer.matrix(tangents[self.W3]).T @ x3
        d3 = samples_second(outer.scatter(columns, samples))
        return gate(d3, y3) if self.ending is self.activation else self.ending.jacobian(d3, y3), output


class DenseBlock:
    """Three dense layers, each with a ReLU, over all pixels and channels of a sample: `(n_channels, n_samples, nx)`.

    It stands for upstream's `FluxBlock`, so the gradient of its ReLU at zero is Flux's: zero.
    """

    def __init__(self, rng, nx: int, n_in: int, n_hidden: int, n_out: int) -> None:
        sizes = (nx * n_in, n_hidden, n_hidden, nx * n_out)
        self.params = []
        for size_in, size_out in itertools.pairwise(sizes):
            self.params += [glorot_uniform(rng, size_out, size_in), zeros(size_out)]
        self.nx = nx

    fields = ("params",)

    def forward(self, x):
        return self.forward_save(x)[0]

    def forward_save(self, x):
        samples = x.shape[1]
        states = [x.swapaxes(0, 1).reshape(samples, -1)]
        for weight, bias in zip(self.params[::2], self.params[1::2], strict=True):
            y = states[-1] @ weight.data
            y += bias.data
            states.append(np.maximum(y, 0, out=y))
        return np.ascontiguousarray(states[-1].reshape(samples, -1, self.nx).swapaxes(0, 1)), states

    def backward(self, delta, states, run):
        samples = delta.shape[1]
        delta = delta.swapaxes(0, 1).reshape(samples, -1)
        layers = list(zip(self.params[::2], self.params[1::2], states, states[1:], strict=False))
        for weight, bias, x, y in reversed(layers):
            delta = delta * (y > 0)
            np.matmul(x.T, delta, out=run.gradients.out(weight))
            delta.sum(axis=0, out=run.gradients.out(bias))
            delta = delta @ weight.data.T
        return np.ascontiguousarray(delta.reshape(samples, -1, self.nx).swapaxes(0, 1))

    def jacobian(self, dx, x, tangents):
        output, states = self.forward_save(x)
        samples = x.shape[1]
        delta = dx.swapaxes(0, 1).reshape(samples, -1)
        for weight, bias, before, after in zip(self.params[::2], self.params[1::2], states, states[1:], strict=False):
            delta = (delta @ weight.data + before @ tangents[weight] + tangents[bias]) * (after > 0)
        return np.ascontiguousarray(delta.reshape(samples, -1, self.nx).swapaxes(0, 1)), output


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

    def backward(self, dz, dd, x, d, run):
        rows, dense, _, saved = self._forward(x, d)
        dx, d_image = split(self.block.backward(dz, saved, run), len(x))
        d_dense = _RELU.gate(_rows(d_image), dense)
        np.matmul(rows.T, d_dense, out=run.gradients.out(self.W0))
        d_dense.sum(axis=0, out=run.gradients.out(self.b0))
        dd += _image(d_dense @ self.W0.data.T, (len(d), *d.shape[2:]))
        return dx, dd

    def jacobian(self, dx, dd, x, d, tangents):
        rows = _rows(d)
        dense = rows @ self.W0.data + self.b0.data
        d_dense = _RELU.gate(_rows(dd) @ self.W0.data + rows @ tangents[self.W0] + tangents[self.b0], dense)
        dz, z = self.block.jacobian(
            np.concatenate((dx, _image(d_dense, self.shape))),
            np.concatenate((x, _image(_RELU.forward(dense), self.shape))),
            tangents,
        )
        return dz, dd, z, d
