"""Parameters of the NumPy engine and their gradients, each in one flat vector.

Inside the engine every array has the axes of Julia's array in reverse: NumPy's C order of the reversed axes is
Julia's column-major order, so the transposed view is what the user sees.
"""

from __future__ import annotations

import math

import numpy as np


class Param:
    """One parameter: `data` is a view of the network's flat vector, or `None` where nothing is held. One that is
    `frozen` has zeros as its gradient, and does not decay."""

    __slots__ = ("_data", "data", "frozen", "shape")

    def __init__(self, value: np.ndarray | None = None, *, shape: tuple[int, ...] | None = None) -> None:
        self.shape = value.shape if shape is None else shape
        self.data = self._data = value
        self.frozen = False

    @property
    def dtype(self) -> np.dtype | None:
        """Of the memory, which ActNorm's parameters have before they hold values."""
        return None if self._data is None else self._data.dtype

    def bind(self, data: np.ndarray) -> None:
        """Move into the given vector, keeping the values."""
        had = self.data
        self._data = data.reshape(self.shape)
        self.set_data(had)

    def take_back(self, data: np.ndarray) -> None:
        """Move back into a vector that still has the values."""
        self._data = data.reshape(self.shape)
        if self.data is not None:
            self.data = self._data

    def set_data(self, value: np.ndarray | None) -> None:
        if value is not None:
            self._data[...] = value
        self.data = None if value is None else self._data


class Gradients:
    """A gradient of each of the given parameters, all in the vector `flat`; of those not set yet there is none.

    The parameters know nothing of their gradients, so that several calls can compute them at the same time.
    """

    def __init__(self, params: list[Param], dtype: np.dtype) -> None:
        self.slices, stop = [], 0
        for p in params:
            start, stop = stop, stop + math.prod(p.shape)
            self.slices.append(slice(start, stop))
        self.flat = np.zeros(stop, dtype)
        self._memory = {p: self.flat[part].reshape(p.shape) for p, part in zip(params, self.slices, strict=True)}
        self._held: dict[Param, bool] = {}  # Whether it began by an addition.

    @property
    def complete(self) -> bool:
        """Whether each parameter has one."""
        return len(self._held) == len(self._memory)

    def get(self, param: Param) -> np.ndarray | None:
        return self._memory[param] if param in self._held else None

    def set(self, param: Param, value: np.ndarray) -> None:
        self._memory[param][...] = value
        self._held[param] = False

    def add(self, param: Param, value: np.ndarray) -> None:
        if param in self._held:
            self._memory[param] += value
        else:
            self._memory[param][...] = value
            self._held[param] = True

    def out(self, param: Param) -> np.ndarray:
        """The gradient's memory, for a result that is about to be written into it."""
        self._held[param] = False
        return self._memory[param]

    def added(self) -> dict[Param, np.ndarray]:
        """Copies of those that began by an addition, to which a call adds again."""
        return {p: self._memory[p].copy() for p, adds in self._held.items() if adds}

    def take_back(self, added: dict[Param, np.ndarray]) -> None:
        """Undo what was added since `added` gave these."""
        for param in [p for p, adds in self._held.items() if adds]:
            self.drop(param)
        for param, value in added.items():
            self.add(param, value)

    def drop(self, param: Param) -> None:
        self._held.pop(param, None)

    def clear(self) -> None:
        self._held.clear()

    def set_sum(self, parts: list[Gradients]) -> None:
        """Set, or add to, all gradients by the sums of those of the parts of a batch."""
        first, *others = parts
        for other in others:
            first.flat += other.flat
        for param, adds in first._held.items():
            (self.add if adds else self.set)(param, first._memory[param])


class Store:
    """The flat vector `data` that holds all parameters of one network, in upstream's order, and their gradients."""

    def __init__(self, params: list[Param], dtype: np.dtype) -> None:
        self.params = params
        self.gradients = Gradients(params, dtype)
        self.slices = self.gradients.slices
        self.data = np.zeros(self.gradients.flat.size, dtype)
        self.decaying = np.repeat([not p.frozen for p in params], [math.prod(p.shape) for p in params])
        for p, part in zip(params, self.slices, strict=True):
            p.bind(self.data[part])

    def astype(self, dtype: np.dtype) -> Store:
        """A store of the same parameters, which move there with their gradients."""
        held = {p: self.gradients.get(p) for p in self.params}
        store = Store(self.params, dtype)
        for p, gradient in held.items():
            if gradient is not None:
                store.gradients.set(p, gradient)
        return store

    def take_back(self) -> None:
        """Have the parameters again, all of them, of which some have moved to another store."""
        for p, part in zip(self.params, self.slices, strict=True):
            p.take_back(self.data[part])


def glorot_uniform(rng: np.random.Generator, *shape: int) -> Param:
    """A parameter of Julia's `shape`, drawn as Flux's `glorot_uniform` does.

    Source: Glorot and Bengio (2010), «Understanding the difficulty of training deep feedforward neural networks»;
    Flux.jl, src/utils.jl (`nfan`).
    """
    if len(shape) == 1:
        fans = 1 + shape[0]
    elif len(shape) == 2:
        fans = sum(shape)
    else:
        fans = int(np.prod(shape[:-2])) * (shape[-2] + shape[-1])
    scale = np.sqrt(24.0 / fans)
    return Param(((rng.random(shape[::-1]) - 0.5) * scale).astype(np.float32))


def zeros(*shape: int) -> Param:
    return Param(np.zeros(shape[::-1], np.float32))
