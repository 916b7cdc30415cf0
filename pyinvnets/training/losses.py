"""The objective that is trained for, and its gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..arrays.latents import square_norm
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad, get_params
from .batches import Batch


@dataclass(frozen=True)
class Evaluation:
    """An objective at one batch: `l2 - lgdet`, and how its gradients are set.

    Attributes:
        l2: half the squared norm of the latents, the mean over the batch.
        lgdet: the log-determinant, the mean over the batch.
        samples: of the batch.
        dimensions: number of elements of a sample's latents.
        gradients: sets every parameter's gradient, in place of those that are there.
    """

    l2: float
    lgdet: float
    samples: int
    dimensions: int
    gradients: Callable[[], None]

    @property
    def objective(self) -> float:
        return self.l2 - self.lgdet


class MaximumLikelihood:
    """The negative log-likelihood without its constant, half the number of dimensions times `log(2 pi)`."""

    def __call__(self, G: Layer, batch: Batch) -> Evaluation:
        results = G.forward(*batch)
        results = results if isinstance(results, tuple) else (results,)
        *arrays, lgdet = results if G.signature.logdet else (*results, 0.0)
        count = len(G.signature.latents)
        latents, condition = tuple(arrays[:count]), tuple(arrays[count:])
        n = batch[0].shape[-1]

        def gradients() -> None:
            clear_grad(G)  # Conv1x1 adds to what is there.
            G.pull_back(tuple(Z / n for Z in latents), latents, condition, batch)

        with np.errstate(all="ignore"):
            l2 = 0.5 * sum(map(square_norm, latents)) / n
        return Evaluation(l2, lgdet, n, sum(Z.size for Z in latents) // n, gradients)


def clip(G: Layer, largest: float) -> None:
    """Scale all gradients so that their norm together is not above `largest`."""
    grads = [p.grad for p in get_params(G) if p.grad is not None]
    norm = math.sqrt(sum(map(square_norm, grads)))
    if norm > largest:
        for g in grads:
            g *= largest / norm
