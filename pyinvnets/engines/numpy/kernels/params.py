"""Parameters of the NumPy engine, all in two flat vectors.

Inside the engine every array has the axes of Julia's array in reverse: NumPy's C order of the reversed axes is
Julia's column-major order, so the transposed view is what the user sees.
"""

from __future__ import annotations

import numpy as np


class Param:
    """One parameter: `data` and `grad` are views of the network's flat vectors, or `None` where nothing is held.

    `tangent` is a direction, while a derivative along it is computed.
    """

    __slots__ = ("_data", "_grad", "data", "grad", "shape", "tangent")

    def __init__(self, value: np.ndarray | None = None, *, shape: tuple[int, ...] | None = None) -> None:
        self.shape = value.shape if shape is None else shape
        self.data = self._data = value
        self.grad = self._grad = self.tangent = None

    @property
    def dtype(self) -> np.dtype | None:
        """Of the memory, which ActNorm's parameters have before they hold values."""
        return None if self._data is None else self._data.dtype

    def bind(self, data: np.ndarray, grad: np.ndarray) -> None:
        """Move into the given vectors, keeping the values."""
        had_data, had_grad = self.data, self.grad
        self._data, self._grad = data.reshape(self.shape), grad.reshape(self.shape)
        self.data = self.grad = None
        if had_data is not None:
            self.set_data(had_data)
        if had_grad is not None:
            self.set_grad(had_grad)

    def set_data(self, value: np.ndarray | None) -> None:
        if value is not None:
            self._data[...] = value
        self.data = None if value is None else self._data

    def set_grad(self, value: np.ndarray | None) -> None:
        if value is not None:
            self._grad[...] = value
        self.grad = None if value is None else self._grad

    def add_grad(self, value: np.ndarray) -> None:
        if self.grad is None:
            self.set_grad(value)
        else:
            self.grad += value

    def grad_out(self) -> np.ndarray:
        """The gradient's memory, for a result that is about to be written into it."""
        self.grad = self._grad
        return self._grad


class Store:
    """The flat vectors `data` and `grad` that hold all parameters of one network, in upstream's order."""

    def __init__(self, params: list[Param], dtype: np.dtype) -> None:
        self.params = params
        size = sum(int(np.prod(p.shape)) for p in params)
        self.data = np.zeros(size, dtype)
        self.grad = np.zeros(size, dtype)
        self.slices = []
        start = 0
        for p in params:
            stop = start + int(np.prod(p.shape))
            self.slices.append(slice(start, stop))
            p.bind(self.data[start:stop], self.grad[start:stop])
            start = stop


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
