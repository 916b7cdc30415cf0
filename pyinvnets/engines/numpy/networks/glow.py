"""GLOW: its coupling layer, its network, and both with a condition.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_glow.jl, src/networks/invertible_network_glow.jl,
src/conditional_layers/conditional_layer_glow.jl and src/networks/invertible_network_conditional_glow.jl; Dinh et al.
(2017), «Density estimation using Real NVP», https://arxiv.org/abs/1605.08803; Kingma and Dhariwal (2018), «Glow:
Generative Flow with Invertible 1x1 Convolutions», https://arxiv.org/abs/1807.03039; Ardizzone et al. (2019), «Guided
image generation with conditional invertible neural networks», https://arxiv.org/abs/1907.02392.
"""

from __future__ import annotations

import math

import numpy as np

from ..kernels.activations import SigmoidLayer
from ..kernels.anchors import NO_STATES
from ..kernels.layout import split
from ..kernels.multiscale import FlowSteps, SampleBySample, Unsqueezed, joined, part_shapes, parts_of
from ..kernels.reversible import Reversible
from ..kernels.squeezers import ShuffleLayer
from .actnorm import ActNorm
from .conv1x1 import Conv1x1
from .residual import DenseBlock, ResidualBlock


def log_determinants(scale: np.ndarray) -> np.ndarray:
    """The sum of log|scale| of each sample."""
    return np.log(np.abs(scale)).sum(axis=(0, *range(2, scale.ndim)), dtype=np.float64)


def couple_tangent(activation, dx, x, d_block, block) -> None:
    """Scale and shift `x` by what the block gave, and its tangent `dx` accordingly, in place."""
    (log_scale, shift), (d_log_scale, d_shift) = split(block), split(d_block)
    scale = activation.forward(log_scale)
    dx *= scale
    dx += activation.backward(d_log_scale, scale) * x
    dx += d_shift
    x *= scale
    x += shift


class AffineCoupling(Reversible):
    """A 1x1 convolution `C`, then the first half of the channels scaled and shifted by what the block `RB` makes of the
    second half and, where there is one, of a condition."""

    fields = ("C", "RB")

    def _scale_shift(self, *block_inputs):
        """The scale, the shift, and the block's saved states."""
        joint = block_inputs[0] if len(block_inputs) == 1 else np.concatenate(block_inputs)
        log_scale_shift, saved = self.RB.forward_save(joint)
        log_scale, shift = split(log_scale_shift)
        return self.activation.forward(log_scale), shift, saved

    def _term(self, scale) -> float | np.ndarray:
        return log_determinants(scale) if self.logdet else 0.0

    def _couple(self, x, *condition):
        """Turn `x`, after the convolution, into the output, in place."""
        x1, x2 = split(x)
        scale, shift, saved = self._scale_shift(x2, *condition)
        x1 *= scale
        x1 += shift
        return scale, saved

    def forward_term(self, x, *condition):
        y = self.C.forward(x)
        scale, _ = self._couple(y, *condition)
        return y, self._term(scale)

    def _undo_coupling(self, y, *condition):
        """Turn `y` into the coupling's input, in place."""
        y1, y2 = split(y)
        scale, shift, saved = self._scale_shift(y2, *condition)
        y1 -= shift
        y1 /= scale + np.finfo(y.dtype).eps
        return scale, saved

    def inverse(self, y, *condition):
        self._undo_coupling(y, *condition)
        return self.C.inverse(y)

    def inverse_term(self, y, *condition):
        scale, _ = self._undo_coupling(y, *condition)
        return self.C.inverse(y), self._term(scale)

    def backward(self, dy, y, *condition, run):
        scale, saved = self._undo_coupling(y, *condition)
        (dy1, dy2), (x1, _) = split(dy), split(y)
        d_scale = dy1 * x1
        if self.logdet and run.logdets:
            d_scale -= 1 / (scale * run.samples)
        dx2, d_condition = self._block_gradient(d_scale, dy1, scale, saved, run, len(dy2))
        dy1 *= scale
        dy2 += dx2
        results = self.C.backward(dy, y, run)
        return (*results, d_condition) if condition else results

    def _block_gradient(self, d_scale, d_shift, scale, saved, run, channels):
        """The gradients of what the block takes: of so many channels of the flow, and of the condition."""
        d_block = np.concatenate((self.activation.backward(d_scale, scale), d_shift))
        return split(self.RB.backward(d_block, saved, run), channels)

    def backward_inv(self, dx, x, *condition, run):
        """Of `x1 = (y1 - shift) / scale`, after the gradient of the convolution's inverse."""
        dx, x = self.C.backward_inv(dx, x, run)
        (dx1, dx2), x1 = split(dx), split(x)[0].copy()
        scale, saved = self._couple(x, *condition)
        dx1 /= scale + np.finfo(x.dtype).eps
        d_scale = -dx1 * x1
        if self.logdet and run.logdets:
            d_scale += 1 / (scale * run.samples)
        dy2, d_condition = self._block_gradient(d_scale, -dx1, scale, saved, run, len(dx2))
        dx2 += dy2
        return (dx, x, d_condition) if condition else (dx, x)


class CouplingLayerGlow(AffineCoupling):
    def __init__(
        self,
        rng,
        n_in,
        n_hidden,
        nx=None,
        dense=False,
        freeze_conv=False,
        k1=3,
        k2=1,
        p1=1,
        p2=0,
        s1=1,
        s2=1,
        logdet=False,
        activation=None,
        ndims=2,
    ) -> None:
        self.C = Conv1x1(rng, n_in, freeze=freeze_conv)
        changed = round(n_in / 2)
        if dense:
            self.RB = DenseBlock(rng, nx, n_in - changed, n_in * n_hidden, 2 * changed)
        else:
            self.RB = ResidualBlock(
                rng,
                n_in - changed,
                n_hidden,
                n_out=2 * changed,
                k1=k1,
                k2=k2,
                p1=p1,
                p2=p2,
                s1=s1,
                s2=s2,
                fan=True,
                ndims=ndims,
            )
        self.logdet = logdet
        self.activation = activation or SigmoidLayer()

    def jacobian(self, dx, x, tangents):
        dy, y = self.C.jacobian(dx, x, tangents)
        (dy1, dy2), (y1, y2) = split(dy), split(y)
        d_block, block = self.RB.jacobian(dy2, y2, tangents)
        couple_tangent(self.activation, dy1, y1, d_block, block)
        return dy, y


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
        split_scales=False,
        ndims=2,
        squeezer=None,
        **options,
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
                self.CL[i, j] = self._coupling(
                    rng, n_in, n_hidden, nx=nx, dense=dense, logdet=logdet, ndims=ndims, **options
                )
            if self.split_scales and i < L:
                n_in //= 2

    def _coupling(self, *sizes, **options):
        return CouplingLayerGlow(*sizes, **options)

    def _splits_after(self, i: int) -> bool:
        return self.split_scales and (i < self.L or self.L == 1)


class ConditionalLayerGlow(AffineCoupling):
    def __init__(
        self,
        rng,
        n_in,
        n_cond,
        n_hidden,
        freeze_conv=False,
        logdet=False,
        activation=None,
        rb_activation=None,
        **options,
    ) -> None:
        changed = round(n_in / 2)
        self.C = Conv1x1(rng, n_in, freeze=freeze_conv)
        self.RB = ResidualBlock(
            rng, n_in - changed + n_cond, n_hidden, n_out=2 * changed, activation=rb_activation, fan=True, **options
        )
        self.logdet = logdet
        self.activation = activation or SigmoidLayer()


class NetworkConditionalGlow(SampleBySample):
    """The latent keeps the data's shape; with `split_scales` its memory holds the parts one after the other.

    `inverse` and `backward` take the condition as `forward` returns it, `inverse_term` and `backward_inv` as it came.
    """

    logdet = True
    has_steps = True

    def __init__(
        self, rng, n_in, n_cond, n_hidden, L, K, split_scales=False, ndims=2, squeezer=None, **options
    ) -> None:
        self.L, self.K, self.ndims, self.split_scales = L, K, ndims, split_scales
        self.squeezer = squeezer or ShuffleLayer()
        self.AN_C = ActNorm(rng, n_cond)
        self.AN, self.CL = {}, {}
        for i in range(1, L + 1):
            if split_scales:
                n_in, n_cond = n_in << ndims, n_cond << ndims
            for j in range(1, K + 1):
                self.AN[i, j] = ActNorm(rng, n_in, logdet=True)
                self.CL[i, j] = self._coupling(rng, n_in, n_cond, n_hidden, logdet=True, ndims=ndims, **options)
            if split_scales and i < L:
                n_in //= 2

    fields = ("AN", "AN_C", "CL")

    def _coupling(self, *sizes, **options):
        return ConditionalLayerGlow(*sizes, **options)

    def forward(self, x, c, states=NO_STATES):
        shape = x.shape
        c = self.AN_C.forward(c)
        parts, logdet = [], 0.0
        for i in range(1, self.L + 1):
            if self.split_scales:
                x, c = self.squeezer.forward(x), self.squeezer.forward(c)
            for j in range(1, self.K + 1):
                x, term = self.AN[i, j].forward(x)
                x, term_coupling = self.CL[i, j].forward(x, c)
                logdet += term + term_coupling
                states.keep((i - 1) * self.K + j, x)
            if self.split_scales and i < self.L:
                x, z = split(x)
                parts.append(z)
        if self.split_scales:
            x = self._joined([*parts, x], shape)
        return x, c, logdet

    def forward_term(self, x, c):
        return self.forward(x, c)

    def _step_back(self, i: int, j: int) -> int:
        return self.L * self.K + 1 - (i - 1) * self.K - j

    def _part_shapes(self, channels, spatial):
        return part_shapes(channels, spatial, [True] * (self.L - 1) + [False])

    def sizes(self, array: np.ndarray, latent: bool) -> list[int] | None:
        if not (latent and self.split_scales):
            return None
        *spatial, channels, _ = array.shape
        return [math.prod(shape) for shape in self._part_shapes(channels, spatial[::-1])]

    def _joined(self, parts, shape):
        """The latent, of the data's shape, of the parts that left at each scale and what stayed."""
        return parts_of(joined(parts), [(shape[0], *shape[2:])])[0]

    def _parts(self, z):
        return parts_of(joined([z]), self._part_shapes(len(z), z.shape[2:]))

    def inverse(self, z, c):
        if self.split_scales:
            *parts, z = self._parts(z)
        for i in range(self.L, 0, -1):
            if self.split_scales and i < self.L:
                z = np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                z = self.AN[i, j].inverse(self.CL[i, j].inverse(z, c))
            if self.split_scales:
                z, c = self.squeezer.inverse(z), self.squeezer.inverse(c)
        return z

    def inverse_term(self, z, c, states=NO_STATES):
        c = self.AN_C.forward(c)
        if self.split_scales:
            *parts, z = self._parts(z)
            c = self._squeezed(c)
        logdet = 0.0
        for i in range(self.L, 0, -1):
            if self.split_scales and i < self.L:
                z = np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                z, term_coupling = self.CL[i, j].inverse_term(z, c)
                z, term = self.AN[i, j].inverse_term(z)
                logdet += term + term_coupling
                states.keep(self._step_back(i, j), z)
            if self.split_scales:
                z, c = self.squeezer.inverse(z), self.squeezer.inverse(c)
        return z, logdet

    def _squeezed(self, c):
        for _ in range(self.L):
            c = self.squeezer.forward(c)
        return c

    def _unsqueezed(self, c):
        for _ in range(self.L):
            c = self.squeezer.inverse(c)
        return c

    def backward(self, dz, z, c, run):
        if self.split_scales:
            *d_parts, dz = self._parts(dz)
            *parts, z = self._parts(z)
        dc = np.zeros_like(c)
        for i in range(self.L, 0, -1):
            if self.split_scales and i < self.L:
                dz, z = np.concatenate((dz, d_parts.pop())), np.concatenate((z, parts.pop()))
            for j in range(self.K, 0, -1):
                run.states.restore((i - 1) * self.K + j, z)
                dz, z, term = self.CL[i, j].backward(dz, z, c, run=run)
                dz, z = self.AN[i, j].backward(dz, z, run)
                dc += term
            if self.split_scales:
                dz, z, dc, c = map(self.squeezer.inverse, (dz, z, dc, c))
        dc, _ = self.AN_C.backward(dc, c, run)
        return dz, z, dc

    def backward_inv(self, dx, x, c, run):
        shape, c = x.shape, self.AN_C.forward(c)
        d_parts, parts, dc = [], [], np.zeros_like(c)
        for i in range(1, self.L + 1):
            if self.split_scales:
                dx, x, dc, c = map(self.squeezer.forward, (dx, x, dc, c))
            for j in range(1, self.K + 1):
                run.states.restore(self._step_back(i, j), x)
                dx, x = self.AN[i, j].backward_inv(dx, x, run)
                dx, x, term = self.CL[i, j].backward_inv(dx, x, c, run=run)
                dc += term
            if self.split_scales and i < self.L:
                (dx, d_left), (x, left) = split(dx), split(x)
                d_parts.append(d_left)
                parts.append(left)
        if self.split_scales:
            dx, x = self._joined([*d_parts, dx], shape), self._joined([*parts, x], shape)
            dc, c = self._unsqueezed(dc), self._unsqueezed(c)
        dc, _ = self.AN_C.backward(dc, c, run)
        return dx, x, dc
