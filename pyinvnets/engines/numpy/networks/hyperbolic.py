"""The hyperbolic layer, a leapfrog step of a wave equation, and the network of such layers.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_hyperbolic.jl and
src/networks/invertible_network_hyperbolic.jl; Lensink, Peters and Haber (2022), «Fully hyperbolic convolutional
neural networks», https://arxiv.org/abs/1905.10484.
"""

from __future__ import annotations

import numpy as np

from ..kernels.activations import ReLUlayer
from ..kernels.anchors import NO_STATES
from ..kernels.convolution import geometry
from ..kernels.layout import per_channel, samples_last, samples_second
from ..kernels.multiscale import SampleBySample
from ..kernels.params import glorot_uniform, zeros
from ..kernels.reversible import Reversible
from ..kernels.squeezers import HaarLayer

_HAAR = HaarLayer()

_RELU = ReLUlayer()

RESIZE = {-1: _HAAR.forward, 0: lambda x: x, 1: _HAAR.inverse}
"""By action: -1 makes images smaller with more channels, 1 larger with fewer."""


def channels_after(n_in: int, action: int, ndims: int) -> int:
    return {-1: n_in << ndims, 0: n_in, 1: n_in >> ndims}[action]


class HyperbolicLayer(Reversible):
    logdet = False
    lanes = 2

    def __init__(self, rng, n_in, kernel, stride, pad, action=0, alpha=1.0, n_hidden=None, ndims=2) -> None:
        n_out = channels_after(n_in, action, ndims)
        n_hidden = n_in if n_hidden is None else n_hidden
        self.W = glorot_uniform(rng, *(kernel,) * ndims, n_out, n_hidden)
        self.b = zeros(n_hidden)
        self.action = action
        # Upstream holds the step size in 32 bits.
        self.alpha = float(np.float32(alpha))
        self.kernel = ((kernel,) * ndims, stride, pad)

    fields = ("W", "b")

    def _resize(self, *arrays):
        return tuple(map(RESIZE[self.action], arrays))

    def _restore(self, *arrays):
        return tuple(map(RESIZE[-self.action], arrays))

    def _convolve(self, x):
        """What the force needs: the geometry, the kernel's matrix, the columns of `x`, and their convolution."""
        shape = geometry(x.shape[2:], *self.kernel)
        matrix, columns = shape.matrix(self.W.data), shape.gather(samples_last(x))
        convolved = matrix @ columns
        convolved += per_channel(self.b.data)
        return shape, matrix, columns, convolved

    def _force(self, x):
        """`-alpha W' relu(W x + b)`, and what its gradient needs."""
        shape, matrix, columns, convolved = self._convolve(x)
        hidden = _RELU.forward(convolved)
        force = samples_second(shape.scatter(matrix.T @ hidden, x.shape[1]))
        force *= -self.alpha
        return force, (shape, matrix, columns, convolved, hidden)

    def forward_term(self, x_prev, x_curr):
        x_prev, x_curr = self._resize(x_prev, x_curr)
        return x_curr, 2 * x_curr - x_prev + self._force(x_curr)[0], 0.0

    def inverse_term(self, x_curr, x_new):
        return *self._restore(2 * x_curr - x_new + self._force(x_curr)[0], x_curr), 0.0

    def backward(self, d_curr, d_new, x_curr, x_new, run):
        d_force, force = self._force_gradient(d_new, x_curr, run)
        return self._restore(-d_new, d_curr + 2 * d_new + d_force, 2 * x_curr - x_new + force, x_curr)

    def backward_inv(self, d_prev, d_curr, x_prev, x_curr, run):
        d_prev, d_curr, x_prev, x_curr = self._resize(d_prev, d_curr, x_prev, x_curr)
        d_force, force = self._force_gradient(d_prev, x_curr, run)
        return d_curr + 2 * d_prev + d_force, -d_prev, x_curr, 2 * x_curr - x_prev + force

    def _force_gradient(self, delta, x, run):
        """The gradient of `x` from that of its force, and the force."""
        force, (shape, matrix, columns, convolved, hidden) = self._force(x)
        d_columns = shape.gather(samples_last(delta)) * -self.alpha
        d_convolved = _RELU.gate(matrix @ d_columns, convolved)
        shape.matrix_gradient(
            np.concatenate((hidden, d_convolved), axis=1),
            np.concatenate((d_columns, columns), axis=1),
            run.gradients.out(self.W),
        )
        d_convolved.sum(axis=1, out=run.gradients.out(self.b))
        return samples_second(shape.scatter(matrix.T @ d_convolved, x.shape[1])), force

    def jacobian(self, d_prev, d_curr, x_prev, x_curr, tangents):
        d_prev, d_curr, x_prev, x_curr = self._resize(d_prev, d_curr, x_prev, x_curr)
        force, (shape, matrix, columns, convolved, hidden) = self._force(x_curr)
        d_matrix = shape.matrix(tangents[self.W])
        d_convolved = matrix @ shape.gather(samples_last(d_curr)) + d_matrix @ columns + per_channel(tangents[self.b])
        d_columns = matrix.T @ _RELU.gate(d_convolved, convolved) + d_matrix.T @ hidden
        d_force = -self.alpha * samples_second(shape.scatter(d_columns, x_curr.shape[1]))
        return d_curr, 2 * d_curr - d_prev + d_force, x_curr, 2 * x_curr - x_prev + force


class NetworkHyperbolic(SampleBySample):
    """Upstream calls one what is the logarithm of one; `forward` gives the same constant. Its inverse gives zero."""

    def __init__(self, rng, n_in, architecture, k=3, s=1, p=1, logdet=True, alpha=1.0, ndims=2) -> None:
        self.HL = []
        for action, n_hidden in architecture:
            self.HL.append(
                HyperbolicLayer(rng, n_in, k, s, p, action=action, alpha=alpha, n_hidden=n_hidden, ndims=ndims)
            )
            n_in = channels_after(n_in, action, ndims)

    fields = ("HL",)
    logdet = True
    lanes = 2
    has_steps = True

    def forward_term(self, x_prev, x_curr, states=NO_STATES):
        for number, layer in enumerate(self.HL, 1):
            x_prev, x_curr = layer.forward(x_prev, x_curr)
            states.keep(number, x_prev, x_curr)
        return x_prev, x_curr, 1.0

    def inverse_term(self, y_curr, y_new, states=NO_STATES):
        for number, layer in enumerate(reversed(self.HL), 1):
            y_curr, y_new = layer.inverse(y_curr, y_new)
            states.keep(number, y_curr, y_new)
        return y_curr, y_new, 0.0

    def backward(self, d_curr, d_new, y_curr, y_new, run):
        for number in range(len(self.HL), 0, -1):
            run.states.restore(number, y_curr, y_new)
            layer = self.HL[number - 1]
            d_curr, d_new, y_curr, y_new = layer.backward(d_curr, d_new, y_curr, y_new, run)
        return d_curr, d_new, y_curr, y_new

    def backward_inv(self, d_prev, d_curr, x_prev, x_curr, run):
        for number, layer in zip(range(len(self.HL), 0, -1), self.HL, strict=True):
            run.states.restore(number, x_prev, x_curr)
            d_prev, d_curr, x_prev, x_curr = layer.backward_inv(d_prev, d_curr, x_prev, x_curr, run)
        return d_prev, d_curr, x_prev, x_curr

    def jacobian(self, d_prev, d_curr, x_prev, x_curr, tangents):
        for layer in self.HL:
            d_prev, d_curr, x_prev, x_curr = layer.jacobian(d_prev, d_curr, x_prev, x_curr, tangents)
        return d_prev, d_curr, x_prev, x_curr
