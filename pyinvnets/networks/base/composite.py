"""Several networks of one engine behind the protocol of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array
from ...arrays.spec import ArraySpec
from ...engines.anchors import Anchors
from .layer import Layer


class CompositeModel:
    """The model of a network made of networks, which it asks for all they can do."""

    def __init__(self, parts: dict[str, Layer]) -> None:
        self.parts = parts
        self.parameters = [
            (f"{name}.{inner}", stored) for name, part in parts.items() for inner, stored in part.model.parameters
        ]
        self.anchors = Anchors()
        self.kept: Any = None

    def reversed(self, reverse: Callable[[Layer], Layer]) -> CompositeModel:
        """The model that runs the other way, with the parts as `reverse` gives them."""
        raise NotImplementedError

    def kept_elements(self, shape: tuple[int, ...]) -> int:
        """See `Layer.kept_elements`."""
        raise NotImplementedError

    @property
    def _last(self) -> Layer:
        return list(self.parts.values())[-1]

    @property
    def dtype(self) -> np.dtype:
        return self._last.dtype

    @property
    def spatial(self) -> tuple[int, ...] | None:
        return self._last.model.spatial

    @spatial.setter
    def spatial(self, value: tuple[int, ...] | None) -> None:
        self._last.model.spatial = value

    @property
    def on_gpu(self) -> bool:
        return self._last.on_gpu

    def fingerprint(self, *arrays: Array) -> int:
        others = (part.model.fingerprint() for part in self.parts.values() if part is not self._last)
        return hash((self._last.model.fingerprint(*arrays), *others))

    def accept(self, name: str, array: Any, spec: ArraySpec, title: str) -> Array:
        return self._last.model.accept(name, array, spec, title)

    def place(self, array: Array) -> Array:
        return self._last.place(array)

    def move(self, to_gpu: bool, title: str) -> None:
        for part in self.parts.values():
            part.model.move(to_gpu, title)

    def astype(self, dtype: np.dtype) -> None:
        before, kept = self.dtype, [(stored, _copy(stored.data), _copy(stored.grad)) for _, stored in self.parameters]
        try:
            for part in self.parts.values():
                part.astype(dtype)
        except BaseException:  # Parts of several types would be of no use.
            for part in self.parts.values():
                part.astype(before)
            for stored, data, grad in kept:
                stored.data, stored.grad = data, grad
            raise

    def clear_grad(self) -> None:
        for part in self.parts.values():
            part.model.clear_grad()

    def _shares(self, indices: list[int] | None) -> Iterator[tuple[str, Layer, list[int] | None]]:
        """Each part with those of the indices that belong to it."""
        start = 0
        for name, part in self.parts.items():
            count = len(part.model.parameters)
            if indices is None:
                yield name, part, None
            else:
                own = [i - start for i in indices if start <= i < start + count]
                if own:
                    yield name, part, own
            start += count

    def without_gradient(self, indices: list[int] | None) -> list[str]:
        return [
            f"{name}.{inner}" for name, part, own in self._shares(indices) for inner in part.model.without_gradient(own)
        ]

    def gradient_vector(self) -> None:
        """Each part has its own."""
        return None

    def optimiser_state(self, rule: str) -> dict[str, np.ndarray]:
        return {
            f"{name}.{key}": array
            for name, part in self.parts.items()
            for key, array in part.model.optimiser_state(rule).items()
        }

    def update(self, rule: str, state: dict[str, np.ndarray], indices: list[int] | None, *numbers: float) -> None:
        for name, part, own in self._shares(indices):
            start = f"{name}."
            of_part = {key.removeprefix(start): array for key, array in state.items() if key.startswith(start)}
            part.model.update(rule, of_part, own, *numbers)
            state.update({f"{start}{key}": array for key, array in of_part.items()})


def _copy(array: Array | None) -> np.ndarray | None:
    return None if array is None else to_numpy(array).copy(order="F")
