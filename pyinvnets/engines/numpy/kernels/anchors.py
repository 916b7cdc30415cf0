"""Anchors: states of the flow that `forward` keeps, so that `backward` need not trust the inverse over all steps.

Going back, each state is recomputed from the one behind it by dividing by the scales. In 32 bits the rounding grows by
a factor at every step, and after some dozens of steps what is recomputed has nothing to do with what was. A state after
every few steps, kept and put in place of the recomputed one, starts the growth anew.
"""

from __future__ import annotations

import zlib

import numpy as np

from ....arrays.latents import difference


class States:
    """The states after every `spacing`-th step of one `forward`, of one part of the batch.

    Attributes:
        steps: how many steps there were.
        drift: the largest relative difference of a recomputed state from the kept one so far.
    """

    def __init__(self, spacing: int, kept: dict[int, tuple[np.ndarray, ...]] | None = None) -> None:
        self.spacing, self.steps, self.drift = spacing, 0, 0.0
        self.kept = {} if kept is None else kept

    def keep(self, step: int, *lanes: np.ndarray) -> None:
        """Note the state after a step, counted from one."""
        self.steps = step
        if step % self.spacing == 0:
            self.kept[step] = tuple(lane.copy() for lane in lanes)

    def restore(self, step: int, *lanes: np.ndarray) -> None:
        """Put the state that was kept after a step, if any, in place of the recomputed one."""
        for lane, true in zip(lanes, self.kept.get(step, ()), strict=False):
            self.drift = max(self.drift, difference(lane, true))
            lane[...] = true

    def again(self) -> States:
        """The same states, for another way back."""
        return States(self.spacing, self.kept)

    @property
    def size(self) -> int:
        """In bytes."""
        return sum(lane.nbytes for lanes in self.kept.values() for lane in lanes)


class NoStates:
    """Nothing is kept: upstream's way."""

    steps, size, drift = 0, 0, 0.0

    def keep(self, step: int, *lanes: np.ndarray) -> None:
        pass

    def restore(self, step: int, *lanes: np.ndarray) -> None:
        pass

    def again(self) -> NoStates:
        return self


NO_STATES = NoStates()


def checksum(arrays: list[np.ndarray]) -> int:
    """Of the arrays' bytes and sizes: equal arrays have the same, others hardly ever."""
    number = 0
    for array in arrays:
        number = zlib.crc32(array.ravel(order="K"), zlib.crc32(str(array.shape).encode(), number))
    return number


def probe(array: np.ndarray) -> np.ndarray:
    """Some of the elements of an array, the same ones for arrays of one shape."""
    return array.ravel(order="K")[:: max(1, array.size // 1024)].copy()
