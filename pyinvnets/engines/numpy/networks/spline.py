"""Flows of spline couplings: the coupling layer, with or without a condition, and its networks.

Source: Durkan et al. (2019), «Neural Spline Flows», https://arxiv.org/abs/1906.04032.
"""

from __future__ import annotations

import numpy as np

from ..kernels.activations import Identity
from ..kernels.layout import split
from ..kernels.reversible import Reversible
from ..kernels.splines import Splines
from .conv1x1 import Conv1x1
from .glow import NetworkConditionalGlow, NetworkGlow
from .residual import ResidualBlock


class CouplingLayerSpline(Reversible):
    """A 1x1 convolution `C`, then each element of the first half of the channels through a spline, of which the block
    `RB` makes the logits from the second half and, where there is one, a condition."""

    fields = ("C", "RB")

    def __init__(
        self,
        rng,
        n_in,
        n_hidden,
        n_cond=0,
        n_bins=8,
        bound=5.0,
        freeze_conv=False,
        k1=3,
        k2=1,
        p1=1,
        p2=0,
        s1=1,
        s2=1,
        logdet=False,
        ndims=2,
    ) -> None:
        changed = round(n_in / 2)
        kernels = {"k1": k1, "k2": k2, "p1": p1, "p2": p2, "s1": s1, "s2": s2, "ndims": ndims}
        self.splines = Splines(n_bins, bound)
        self.C = Conv1x1(rng, n_in, freeze=freeze_conv)
        n_out = changed * self.splines.n_logits
        self.RB = ResidualBlock(rng, n_in - changed + n_cond, n_hidden, n_out=n_out, ending=Identity(), **kernels)
        self.RB.W3.data[...] = 0  # Then all splines are the identity.
        self.logdet = logdet

    def _logits(self, x2, *condition):
        """A column for each element of the first half, and the block's saved states."""
        logits, saved = self.RB.forward_save(np.concatenate((x2, *condition)) if condition else x2)
        return logits.reshape(self.splines.n_logits, -1), saved

    def _couple(self, x, *condition):
        """Turn `x`, after the convolution, into the output, in place; give what its way back needs."""
        x1, x2 = split(x)
        logits, saved = self._logits(x2, *condition)
        before = x1.ravel()
        y1, point = self.splines.forward(before, logits)
        x1[...] = y1.reshape(x1.shape)
        return before, point, saved

    def _undo_coupling(self, y, *condition):
        """Turn `y` into the coupling's input, in place; give what its way back needs."""
        y1, y2 = split(y)
        logits, saved = self._logits(y2, *condition)
        x1, point = self.splines.inverse(y1.reshape(-1), logits)
        y1[...] = x1.reshape(y1.shape)
        return x1, point, saved

    def _term(self, slope, shape) -> float | np.ndarray:
        """The log-determinant of each sample."""
        if not self.logdet:
            return 0.0
        return np.log(slope).reshape(-1, *shape[1:]).sum(axis=(0, *range(2, len(shape))), dtype=np.float64)

    def forward_term(self, x, *condition):
        y = self.C.forward(x)
        _, point, _ = self._couple(y, *condition)
        return y, self._term(point.slope, y.shape)

    def inverse_term(self, y, *condition):
        _, point, _ = self._undo_coupling(y, *condition)
        return self.C.inverse(y), self._term(point.slope, y.shape)

    def backward(self, dy, y, *condition, run):
        x1, point, saved = self._undo_coupling(y, *condition)
        dy1, dy2 = split(dy)
        d_log = -1 / run.samples if self.logdet and run.logdets else 0.0
        dx1, d_logits = self.splines.gradient(x1, dy1.reshape(-1), d_log, point)
        dx2, d_condition = self._block_gradient(d_logits, dy, saved, run)
        dy1[...] = dx1.reshape(dy1.shape)
        dy2 += dx2
        results = self.C.backward(dy, y, run)
        return (*results, d_condition) if condition else results

    def backward_inv(self, dx, x, *condition, run):
        """Of `x1 = spline^-1(y1)`, after the gradient of the convolution's inverse."""
        dx, x = self.C.backward_inv(dx, x, run)
        x1, point, saved = self._couple(x, *condition)
        dx1, dx2 = split(dx)
        d_log = 1 / run.samples if self.logdet and run.logdets else 0.0
        through = dx1.reshape(-1) + self.splines.log_slope_gradient(x1, d_log, point)
        dy1 = through / point.slope
        _, d_logits = self.splines.gradient(x1, -dy1, d_log, point)
        dy2, d_condition = self._block_gradient(d_logits, dx, saved, run)
        dx1[...] = dy1.reshape(dx1.shape)
        dx2 += dy2
        return (dx, x, d_condition) if condition else (dx, x)

    def _block_gradient(self, d_logits, like, saved, run):
        """The gradients of what the block takes: of the second half of the channels, and of the condition."""
        changed, kept = split(like)
        d_block = d_logits.reshape(-1, *changed.shape[1:])
        return split(self.RB.backward(d_block, saved, run), len(kept))

    def jacobian(self, dx, x, tangents):
        dy, y = self.C.jacobian(dx, x, tangents)
        (dy1, dy2), (y1, y2) = split(dy), split(y)
        d_logits, logits = (a.reshape(self.splines.n_logits, -1) for a in self.RB.jacobian(dy2, y2, tangents))
        before = y1.ravel()
        values, point = self.splines.forward(before, logits)
        slope, by_logits = self.splines.gradient(before, np.ones_like(before), 0.0, point)
        dy1[...] = (dy1.reshape(-1) * slope + (by_logits * d_logits).sum(axis=0)).reshape(dy1.shape)
        y1[...] = values.reshape(y1.shape)
        return dy, y


class NetworkSpline(NetworkGlow):
    def _coupling(self, *sizes, dense, nx, **options):
        return CouplingLayerSpline(*sizes, **options)


class NetworkConditionalSpline(NetworkConditionalGlow):
    def _coupling(self, rng, n_in, n_cond, n_hidden, **options):
        return CouplingLayerSpline(rng, n_in, n_hidden, n_cond, **options)
