"""Features with bounds on the line and back, as `pyinvnets.vectors.bounds` has them, with gradients."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import constraints

from ..vectors.bounds import Bounds


class TensorBounds:
    """The bijection of `bounds`, of tensors whose last axis is that of features."""

    def __init__(self, bounds: Bounds) -> None:
        self._intervals = bounds.intervals
        self._low, self._high = torch.from_numpy(bounds.low), torch.from_numpy(bounds.high)
        self._lower, self._upper = self._low.isfinite(), self._high.isfinite()
        self._constant = (self._high - self._low)[self._lower & self._upper].log().sum()

    def hold(self, x: Tensor) -> Tensor:
        """Which rows lie strictly within all bounds."""
        return ((self._low < x) & (self._high > x)).all(-1)

    def free(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The rows on the line, and the log-determinant of each."""
        below = torch.where(self._lower, (x - self._low).log(), 0)
        above = torch.where(self._upper, (self._high - x).log(), 0)
        return torch.where(self._lower | self._upper, below - above, x), self._constant - (below + above).sum(-1)

    def bounded(self, u: Tensor, dtype: torch.dtype) -> Tensor:
        """The inverse, of a dtype; never a bound itself."""
        columns = []
        for column, (low, high) in zip(u.unbind(-1), self._intervals, strict=True):
            if math.isfinite(low) and math.isfinite(high):
                column = low + (high - low) * column.sigmoid()
            elif math.isfinite(low):
                column = low + column.exp()
            elif math.isfinite(high):
                column = high - (-column).exp()
            columns.append(column)
        low, high = self._low.to(dtype), self._high.to(dtype)
        infinity = torch.tensor(math.inf, dtype=dtype)
        return torch.stack(columns, -1).to(dtype).clamp(low.nextafter(infinity), high.nextafter(-infinity))

    @property
    def support(self) -> constraints.Constraint:
        """What PyTorch's distributions are told of the bounds."""
        return constraints.independent(constraints.cat([_support(*ends) for ends in self._intervals], -1), 1)


def _support(low: float, high: float) -> constraints.Constraint:
    if math.isfinite(low) and math.isfinite(high):
        return constraints.interval(low, high)
    if math.isfinite(low):
        return constraints.greater_than(low)
    return constraints.less_than(high) if math.isfinite(high) else constraints.real
