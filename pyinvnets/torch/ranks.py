"""The first batch, which sets ActNorm, where several processes train one model."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import distributed

from ..networks.base.layer import Layer
from ..networks.base.parameters import get_params


def first_forward(network: Layer, arrays: tuple[np.ndarray, ...]) -> None:
    """Set ActNorm from this batch; from those of all processes together where `torch.distributed` has several.

    The first process computes, from all batches in the order of the ranks, and the others get its numbers, so that all
    have the same to the last bit. What fails there is raised in every process.

    Raises:
        TypeError, ValueError: as the network's `forward`.
    """
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        network.forward(*arrays)
        return
    is_first = distributed.get_rank() == 0
    batches: list[Any] | None = [None] * distributed.get_world_size() if is_first else None
    distributed.gather_object(arrays, batches)
    outcome = [_set_by(network, batches) if batches is not None else None]
    distributed.broadcast_object_list(outcome)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    for p, value in zip(_lazy(network), outcome[0], strict=True):
        p.data = value


def _set_by(network: Layer, batches: list[tuple[np.ndarray, ...]]) -> list[np.ndarray] | Exception:
    try:
        network.forward(*(np.asfortranarray(np.concatenate(parts, axis=-1)) for parts in zip(*batches, strict=True)))
    except (TypeError, ValueError) as error:
        return error
    return [p.data for p in _lazy(network)]


def _lazy(network: Layer) -> list[Any]:
    return [p for p in get_params(network) if p.lazy]
