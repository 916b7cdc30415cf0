"""Maximum likelihood with another base distribution than the standard Gaussian, in the data's own units."""

from __future__ import annotations

import math
from typing import Any

from ..arrays.cuda_interface import to_numpy
from ..functions.bases import BaseDistribution
from ..training.batches import Batch
from ..training.gradients import Evaluation
from ..training.losses import MaximumLikelihood
from .rows import rows_of


class RowLikelihood(MaximumLikelihood):
    """`MaximumLikelihood` of rows.

    Args:
        base: of the latents; `None` is the standard Gaussian. `l2` is the negative logarithm of its density, less
            half the number of features times `log(2 pi)`.
        constant: log-determinant of what is done to the rows before the network, which `lgdet` includes.
    """

    def __init__(self, base: BaseDistribution | None, constant: float) -> None:
        self.base, self.constant = base, constant

    def evaluate(self, network: Any, batch: Batch) -> Evaluation:
        base = self.base
        if base is None:
            evaluation = super().evaluate(network, batch)
            l2, lgdet = evaluation.terms["l2"], evaluation.terms["lgdet"]
            return self._evaluation(l2, lgdet, evaluation.samples, evaluation.dimensions, evaluation.set_gradients)
        Z, *condition, lgdet = network.forward(*batch)
        rows = rows_of(to_numpy(Z))
        samples, dimensions = rows.shape

        def set_gradients() -> None:
            gradient = (-base.score(rows) / samples).astype(rows.dtype).reshape(to_numpy(Z).shape[::-1]).T
            network.pull_back((network.place(gradient),), (Z,), tuple(condition), batch)

        l2 = -float(base.log_prob(rows).mean()) - dimensions * math.log(2 * math.pi) / 2
        return self._evaluation(l2, lgdet, samples, dimensions, set_gradients)

    def _evaluation(self, l2: float, lgdet: float, samples: int, dimensions: int, set_gradients: Any) -> Evaluation:
        lgdet += self.constant
        return Evaluation(l2 - lgdet, {"l2": l2, "lgdet": lgdet}, samples, dimensions, set_gradients)

    def __repr__(self) -> str:
        return f"RowLikelihood({self.base!r}, {self.constant!r})"
