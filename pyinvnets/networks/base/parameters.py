"""Parameters: live views of the engine's memory, and the functions over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...arrays.cuda_interface import is_on_gpu, to_numpy
from ...engines.protocol import StoredParameter
from .network import Network
from .wrapper import Wrapper, network_of


class Parameter:
    """One trainable parameter.

    Attributes:
        name: the field path with Julia's 1-based indices, such as `CL[1,2].RB.W1`.
        shape: Julia's shape.
        network: what it is a parameter of.
        index: its place among the network's parameters, from zero.
        lazy: whether the first `forward` sets it, as ActNorm's.
    """

    __slots__ = ("_stored", "index", "lazy", "name", "network", "shape")

    def __init__(self, name: str, stored: StoredParameter, network: Network, index: int) -> None:
        self.name, self.shape = name, tuple(stored.shape)
        self._stored, self.network, self.index = stored, network, index
        self.lazy = stored.data is None

    @property
    def data(self) -> np.ndarray | None:
        """The value, a NumPy view of the engine's own memory: writing into it changes the network. `None` where
        upstream holds `nothing`: in ActNorm until the first `forward`. Of a network on the GPU it is a `DeviceArray`.

        Assigning an array copies it in.

        Raises:
            TypeError: what is assigned is not an array of floats.
            ValueError: its shape is not the parameter's.
        """
        return self._stored.data

    @data.setter
    def data(self, value: np.ndarray) -> None:
        self._stored.data = self.checked(value)
        self.network.parameters_changed()

    @property
    def grad(self) -> np.ndarray | None:
        """The gradient that the last `backward` set, a view like `data`; `None` before that and after `clear_grad`."""
        return self._stored.grad

    @grad.setter
    def grad(self, value: np.ndarray | None) -> None:
        self._stored.grad = None if value is None else self.checked(value)

    def checked(self, value: object) -> np.ndarray:
        """Convert an array to a value of this parameter, in the network's dtype.

        Raises:
            TypeError, ValueError: as for assigning `data`.
        """
        if is_on_gpu(value):
            value = to_numpy(value)
        if isinstance(value, np.ma.MaskedArray):
            raise TypeError(f"{self.name} takes no masked array; write .filled(value)")
        if not isinstance(value, np.ndarray) or not np.issubdtype(value.dtype, np.floating):
            got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
            raise TypeError(f"{self.name} takes a NumPy array of floats of shape {self.shape}, got {got}")
        if value.shape != self.shape:
            raise ValueError(f"{self.name} has shape {self.shape}, got an array of shape {value.shape}")
        return value.astype(self.network.dtype, order="F", copy=False)

    def reset(self) -> None:
        """Remove the value, so that the next `forward` sets it."""
        self._stored.data = None

    def __repr__(self) -> str:
        return f"Parameter({self.name!r}, shape={self.shape})"


def get_params(network: Network | Wrapper) -> list[Parameter]:
    """All parameters, in the order of upstream's `get_params`; those of a `VectorFlow` are its network's."""
    return list(network_of(network)._parameters)


def named_params(network: Network | Wrapper) -> dict[str, Parameter]:
    """The parameters of `get_params` by name."""
    return {p.name: p for p in get_params(network)}


def clear_grad(network: Network | Wrapper) -> None:
    """Set every gradient to `None`. `Conv1x1` adds to its gradients, so call this after each update."""
    network_of(network).model.clear_grad()


def set_params(network: Network | Wrapper, params: Sequence[Parameter | np.ndarray | None]) -> None:
    """Copy the values of `params`, in the order of `get_params`, into the network.

    `None` is for an ActNorm that is to be set by the first `forward`.

    Raises:
        TypeError: an item is neither a Parameter nor an array of floats.
        ValueError: their number or a shape differs; the network is then unchanged.
    """
    inner = network_of(network)
    own = get_params(inner)
    if len(params) != len(own):
        raise ValueError(f"{inner.title} has {len(own)} parameters, got {len(params)}")
    values = [value.data if isinstance(value, Parameter) else value for value in params]
    unset = (v is None and p.lazy for p, v in zip(own, values, strict=True))
    _assign(inner, [None if no else p.checked(v) for p, v, no in zip(own, values, unset, strict=True)])


def load_state(network: Network, own: list[Parameter], state: Mapping[str, np.ndarray]) -> None:
    """Copy a `state_dict` into the network; see `Layer.load_state_dict`."""
    _assign(network, _checked_state(network, own, state))


def check_state(network: Network, state: Mapping[str, np.ndarray]) -> None:
    """Raise what `network.load_state_dict(state)` would raise; nothing changes."""
    _checked_state(network, network._parameters, state)


def _checked_state(network: Network, own: list[Parameter], state: Mapping[str, np.ndarray]) -> list[np.ndarray | None]:
    """The values of a `state_dict`, in the order of the parameters."""
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
    return [p.checked(np.asanyarray(state[p.name])) if p.name in state else None for p in own]


def _may_be_absent(name: str, network: Network, state: Mapping[str, np.ndarray]) -> bool:
    """Whether the parameter belongs to an ActNorm that was never used, whose scale and bias are then both left out."""
    sister = name[:-1] + ("b" if name.endswith("s") else "s")
    return any(p.name == name and p.lazy for p in network._parameters) and sister not in state


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _assign(network: Network, values: list[np.ndarray | None]) -> None:
    """Copy the values in. They may be views of this network's own memory, so all are read before any is written."""
    values = [None if value is None else value.copy(order="F") for value in values]
    for p, value in zip(network._parameters, values, strict=True):
        p._stored.data = value
    network.parameters_changed()
