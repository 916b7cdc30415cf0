"""Parameters: live views of the engine's memory, and the functions over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...engines.julia.device_array import DeviceArray

if TYPE_CHECKING:
    from ...engines.protocol import Slot
    from .layer import Invertible


class Parameter:
    """One trainable parameter.

    Attributes:
        name: the field path with Julia's 1-based indices, such as `CL[1,2].RB.W1`.
        shape: Julia's shape.
    """

    __slots__ = ("_index", "_owner", "_slot", "name", "shape")

    def __init__(self, name: str, slot: Slot, owner: Invertible, index: int) -> None:
        self.name, self.shape = name, tuple(slot.shape)
        self._slot, self._owner, self._index = slot, owner, index

    @property
    def data(self) -> np.ndarray | None:
        """The value, a NumPy view of the engine's own memory: writing into it changes the network. `None` where
        upstream holds `nothing`: in ActNorm until the first `forward`. Of a network on the GPU it is a `DeviceArray`.

        Assigning an array copies it in.

        Raises:
            TypeError: what is assigned is not an array of floats.
            ValueError: its shape is not the parameter's.
        """
        return self._slot.data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self._slot.data = self._checked(value)
        self._owner._parameters_changed()

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that the last `backward` set, a view like `data`; `None` before that and after `clear_grad`."""
        return self._slot.grad

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._slot.grad = None if value is None else self._checked(value)

    def _checked(self, value: object) -> np.ndarray:
        if isinstance(value, DeviceArray):
            value = value.numpy()
        if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
            got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"{self.name} takes a NumPy array of floats of shape {self.shape}, got {got}")
        if value.shape != self.shape:
            raise ValueError(f"{self.name} has shape {self.shape}, got an array of shape {value.shape}")
        return value.astype(self._owner.dtype, order="F", copy=False)

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


def get_params(network: Invertible) -> list[Parameter]:
    """All parameters, in the order of upstream's `get_params`."""
    return list(network._parameters)


def named_params(network: Invertible) -> dict[str, Parameter]:
    """The parameters of `get_params` by name."""
    return {p.name: p for p in network._parameters}


def clear_grad(network: Invertible) -> None:
    """Set every gradient to `None`. `Conv1x1` adds to its gradients, so call this after each update."""
    network._handle.clear_grad()


def set_params(network: Invertible, params: Sequence[Parameter | np.ndarray | None]) -> None:
    """Copy the values of `params`, in the order of `get_params`, into the network.

    `None` is for an ActNorm that is to be set by the first `forward`.

    Raises:
        TypeError: an item is neither a Parameter nor an array of floats.
        ValueError: their number or a shape differs; the network is then unchanged.
    """
    own = network._parameters
    if len(params) != len(own):
        raise ValueError(f"{network._title} has {len(own)} parameters, got {len(params)}")
    values = [value.data if isinstance(value, Parameter) else value for value in params]
    lazy = network._lazy_names
    values = [None if v is None and p.name in lazy else p._checked(v) for p, v in zip(own, values, strict=True)]
    _assign(network, values)


def load_state(network: Invertible, state: Mapping[str, np.ndarray]) -> None:
    """Copy a `state_dict` into the network; see `Invertible.load_state_dict`."""
    own = network._parameters
    names = {p.name for p in own}
    unknown = sorted(set(state) - names)
    missing = sorted(n for n in names - set(state) if not _may_be_absent(n, network, state))
    if unknown or missing:
        raise ValueError(
            f"these are not the parameters of {network!r}: "
            + "; ".join(
                f"{word}: {_some(items)}" for word, items in (("missing", missing), ("unknown", unknown)) if items
            )
        )
    values = [p._checked(np.asarray(state[p.name])) if p.name in state else None for p in own]
    _assign(network, values)


def _may_be_absent(name: str, network: Invertible, state: Mapping[str, np.ndarray]) -> bool:
    """Whether this is of an ActNorm that was never used: its scale and its bias are then both left out."""
    sister = name[:-1] + ("b" if name.endswith("s") else "s")
    return name in network._lazy_names and sister not in state


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _assign(network: Invertible, values: list[np.ndarray | None]) -> None:
    for p, value in zip(network._parameters, values, strict=True):
        p._slot.data = value
    network._parameters_changed()
