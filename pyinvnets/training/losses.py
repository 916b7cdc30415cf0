"""The objective that is trained for, and its gradients."""

from __future__ import annotations

import math

import numpy as np

from ..engines.julia.device_array import DeviceArray
from ..networks.base.flow import OneLane
from ..networks.base.layer import Invertible
from ..networks.base.pair import TwoLanes
from ..networks.compose import SummarizedNet
from .batches import Batch


def _forward(G: Invertible, batch: Batch) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """The latents, what else `backward` takes, and the log-determinant."""
    *results, lgdet = G.forward(*batch)
    if isinstance(G, (OneLane, TwoLanes)):
        return results, [], lgdet
    return results[:1], results[1:], lgdet


def _half_square(latents: list[np.ndarray]) -> float:
    with np.errstate(all="ignore"):
        return 0.5 * sum(map(_square_norm, latents))


def _square_norm(array: np.ndarray | DeviceArray) -> float:
    if isinstance(array, DeviceArray):
        return array.sum_of_squares()
    return float(np.sum(np.square(array, dtype=np.float64)))


def _backward(G: Invertible, batch: Batch, latents: list[np.ndarray], others: list[np.ndarray]) -> None:
    """Set the gradients of the objective."""
    n = batch[0].shape[-1]
    more = {"Y_save": batch[1]} if isinstance(G, SummarizedNet) else {}
    G.backward(*(Z / n for Z in latents), *latents, *others, **more)


def _clip(G: Invertible, largest: float) -> None:
    """Scale all gradients so that their norm together is not above `largest`."""
    grads = [p.grad for p in G._parameters if p.grad is not None]
    norm = math.sqrt(sum(map(_square_norm, grads)))
    if norm > largest:
        for g in grads:
            g *= largest / norm
