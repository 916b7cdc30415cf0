"""The affine coupling layer of GLOW, with its 1x1 convolution.

Source: InvertibleNetworks.jl, src/layers/invertible_layer_glow.jl; Dinh et al. (2017), «Density estimation using
Real NVP», https://arxiv.org/abs/1605.08803; Kingma and Dhariwal (2018), https://arxiv.org/abs/1807.03039.
"""

from __future__ import annotations

from contextvars import ContextVar

import numpy as np

from .activations import SigmoidLayer
from .blocks import DenseBlock, ResidualBlock
from .conv1x1 import Conv1x1
from .layout import split

BY_SAMPLE: ContextVar[bool] = ContextVar("BY_SAMPLE", default=False)
"""Whether log-determinants are those of all samples in place of their mean; of each thread its own."""


def log_determinant(scale: np.ndarray) -> float | np.ndarray:
    """The mean over the batch of the sum of log|scale|, or these sums."""
    logarithms = np.log(np.abs(scale))
    if BY_SAMPLE.get():
        return logarithms.sum(axis=(0, *range(2, scale.ndim)), dtype=np.float64)
    return float(logarithms.sum()) / scale.shape[1]


def couple_tangent(activation, dx, x, d_block, block) -> None:
    """Scale and shift `x` by what the block gave, and its tangent `dx` accordingly, in place."""
    (log_scale, shift), (d_log_scale, d_shift) = split(block), split(d_block)
    scale = activation.forward(log_scale)
    dx *= scale
    dx += activation.backward(d_log_scale, scale) * x
    dx += d_shift
    x *= scale
    x += shift


class AffineCoupling:
    """A 1x1 convolution `C`, then the first half of the channels scaled and shifted by what the block `RB` makes of the
    second half and, where there is one, of a condition."""

    fields = ("C", "RB")

    def _scale_shift(self, *block_inputs):
        """The scale, the shift, and the block's saved states."""
        joint = block_inputs[0] if len(block_inputs) == 1 else np.concatenate(block_inputs)
        log_scale_shift, saved = self.RB.forward_save(joint)
        log_scale, shift = split(log_scale_shift)
        return self.activation.forward(log_scale), shift, saved

    def forward(self, x, *condition):
        y = self.C.forward(x)
        y1, y2 = split(y)
        scale, shift, _ = self._scale_shift(y2, *condition)
        y1 *= scale
        y1 += shift
        return (y, log_determinant(scale)) if self.logdet else y

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

    def backward(self, dy, y, *condition):
        scale, saved = self._undo_coupling(y, *condition)
        (dy1, dy2), (x1, _) = split(dy), split(y)
        d_scale = dy1 * x1
        if self.logdet:
            d_scale -= 1 / (scale * y.shape[1])
        d_block = np.concatenate((self.activation.backward(d_scale, scale), dy1))
        dy1 *= scale
        dx2, d_condition = split(self.RB.backward(d_block, saved), len(dy2))
        dy2 += dx2
        results = self.C.backward(dy, y)
        return (*results, d_condition) if condition else results


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

    def jacobian(self, dx, x):
        dy, y = self.C.jacobian(dx, x)
        (dy1, dy2), (y1, y2) = split(dy), split(y)
        d_block, block = self.RB.jacobian(dy2, y2)
        couple_tangent(self.activation, dy1, y1, d_block, block)
        return dy, y
