"""Learning rates, and powers of an annealed density, that change over the updates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..arrays.scalars import as_python


@dataclass(frozen=True)
class CosineDecay:
    """A learning rate that falls along half a cosine, and stays at its end.

    Attributes:
        start: learning rate of the first update.
        updates: number of updates until the end.
        end: learning rate from then on, as small as it gets.

    Raises:
        ValueError: rates that are not finite and positive, or no updates.

    Source: Loshchilov and Hutter (2017), «SGDR: Stochastic Gradient Descent with Warm Restarts»,
    https://arxiv.org/abs/1608.03983.

    >>> schedule = CosineDecay(1e-3, 100, end=1e-5)
    >>> [f"{schedule(n):.1e}" for n in (0, 50, 100, 1000)]
    ['1.0e-03', '5.1e-04', '1.0e-05', '1.0e-05']
    """

    start: float
    updates: int
    end: float = 1e-6

    def __post_init__(self) -> None:
        _check_schedule(self, "start", "updates", "end")

    def __call__(self, made: int) -> float:
        """The learning rate after `made` updates."""
        done = min(made / self.updates, 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class ExponentialDecay:
    """A learning rate that falls by a factor every so many updates, smoothly.

    Attributes:
        start: learning rate of the first update.
        factor: what it is multiplied by.
        updates: in how many updates.

    Raises:
        ValueError: numbers that are not finite and positive.

    >>> schedule = ExponentialDecay(1e-3, 0.5, 100)
    >>> [schedule(n) for n in (0, 100, 200)]
    [0.001, 0.0005, 0.00025]
    """

    start: float
    factor: float
    updates: int

    def __post_init__(self) -> None:
        _check_schedule(self, "start", "factor", "updates")

    def __call__(self, made: int) -> float:
        """The learning rate after `made` updates."""
        return self.start * self.factor ** (made / self.updates)


@dataclass(frozen=True)
class Annealing:
    """The power of a density, from which `ReverseKL` learns: it rises in equal steps to 1, and stays there.

    Attributes:
        start: power of the first update, at most 1.
        updates: number of updates until 1.

    Raises:
        ValueError: numbers that are not finite and positive, or a power above 1.

    >>> annealing = Annealing(0.2, 100)
    >>> [round(annealing(n), 3) for n in (0, 50, 100, 1000)]
    [0.2, 0.6, 1.0, 1.0]
    """

    start: float
    updates: int

    def __post_init__(self) -> None:
        _check_schedule(self, "start", "updates")
        if self.start > 1:
            raise ValueError(f"Annealing: start must be at most 1, got {self.start}")

    def __call__(self, made: int) -> float:
        """The power after `made` updates."""
        return self.start + (1 - self.start) * min(made / self.updates, 1.0)


def _check_schedule(schedule: CosineDecay | ExponentialDecay | Annealing, *names: str) -> None:
    for name in names:
        value = as_python(getattr(schedule, name))
        object.__setattr__(schedule, name, value)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{type(schedule).__name__}: {name} must be a positive finite number, got {value}")
