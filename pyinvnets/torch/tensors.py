"""Tensors as a network's arrays, without copies, and the checks of them, in terms of their own shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..arrays.spec import ArraySpec

AXES = {1: "(N, C, W)", 2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def array(tensor: Tensor) -> np.ndarray:
    """The array that a contiguous tensor is, in the same memory."""
    return tensor.detach().numpy().T


def tensor(array: np.ndarray) -> Tensor:
    """The inverse of `array`; copied only where the array is not column-major."""
    return torch.from_numpy(np.ascontiguousarray(array.T))


def check_type(title: str, name: str, given: Any, dtype: torch.dtype) -> None:
    """Raise TypeError where it is no tensor of `dtype` on the CPU."""
    if not isinstance(given, Tensor):
        raise TypeError(f"{title}: {name} must be a tensor, got {type(given).__name__}; write torch.as_tensor({name})")
    if given.device.type != "cpu":
        raise TypeError(
            f"{title}: {name} is on {given.device}, but the network computes on the CPU; write {name}.cpu()"
        )
    if given.dtype != dtype:
        raise TypeError(
            f"{title}: {name} must be {dtype}, as the parameters are, got {given.dtype}; write {name}.to({dtype}), or "
            "convert the module once with .to(…)"
        )


def check_shapes(title: str, tensors: Mapping[str, Tensor], specs: Sequence[ArraySpec]) -> None:
    """Raise ValueError where a tensor is not as its specification says."""
    for (name, given), spec in zip(tensors.items(), specs, strict=True):
        if not spec.holds(tuple(given.shape[::-1])):
            raise ValueError(f"{title}: {name} must have {_described(spec)}, got {tuple(given.shape)}")


def check_batch(title: str, tensors: Mapping[str, Tensor], alike: bool) -> None:
    """Raise ValueError where they have not as many samples each, or, where they are `alike`, not one shape."""
    (first, x), *others = tensors.items()
    for name, given in others:
        if given.shape != x.shape if alike else len(given) != len(x):
            raise ValueError(
                f"{title}: {first} and {name} must belong to the same batch, got shapes {tuple(x.shape)} and "
                f"{tuple(given.shape)}"
            )


def check_condition_size(title: str, name: str, condition: Tensor, first: str, x: Tensor) -> None:
    """Raise ValueError where the condition's images have another size than the data's."""
    if condition.shape[2:] != x.shape[2:]:
        raise ValueError(
            f"{title}: {name} must have spatial sizes {tuple(x.shape[2:])}, as {first} of shape {tuple(x.shape)} has, "
            f"got {tuple(condition.shape)}"
        )


def _described(spec: ArraySpec) -> str:
    """What `ArraySpec.describe` says, of a tensor."""
    axes = [AXES[spec.ndims]] if spec.ndims else [*AXES.values()]
    words = "shape " + " or ".join(filter(None, (", ".join(axes[:-1]), axes[-1])))
    conditions = []
    if spec.channels is not None:
        conditions.append(f"C = {spec.channels}")
    if spec.spatial:
        conditions.append(f"spatial sizes {spec.spatial[::-1]}")
    if spec.multiple > 1:
        conditions.append(f"spatial sizes that are multiples of {spec.multiple}")
    if spec.minimum > spec.multiple:
        conditions.append(f"spatial sizes of at least {spec.minimum}")
    return words + (f" with {' and '.join(conditions)}" if conditions else "")
