"""Anchors: how far apart the states lie that `forward` keeps for `backward`, and by how much recomputed ones were off.

An engine keeps the states and measures the drift; how many steps lie between two states follows from it here.
"""

from __future__ import annotations

import math

FIRST_SPACING = 8
"""Between automatic anchors, until a drift was seen."""

TOLERANCE = 100
"""What a recomputed state may be off by, relative to its size, in units of the numbers' epsilon. Up to there the
gradients of GLOW networks are as true as with every state kept (`benchmarks/depth.py`)."""

AIM = 25
"""The drift, in the same unit, that automatic anchors are spaced for."""

UNTRUE = 1e-3
"""The drift from which gradients are off by about a per cent and more."""


class Anchors:
    """The anchors of one network.

    Attributes:
        spacing: how many steps lie between two states.
        drift: the largest difference of a recomputed state from the true one in the last `backward`, relative to its
            size; `None` where that had nothing to compare with.
        size: bytes of what the last `forward` kept.
    """

    def __init__(self, value: int | str | None = "auto") -> None:
        self.value = value

    @property
    def value(self) -> int | str | None:
        """What the user chose: a number of steps, "auto", or `None` for no states at all."""
        return self._value

    @value.setter
    def value(self, value: int | str | None) -> None:
        self._value = value
        self.spacing = value if isinstance(value, int) else FIRST_SPACING
        self.drift: float | None = None
        self.size = 0
        self._warned = False

    @property
    def automatic(self) -> bool:
        return self._value == "auto"

    def saw(self, drift: float, epsilon: float, steps: int) -> bool:
        """Note the drift that `backward` saw in a network of so many steps.

        Returns:
            Whether it should be done again, with states that lie closer together.
        """
        self.drift = drift
        if not self.automatic:
            return False
        units = drift / epsilon
        apart = max(1, min(self.spacing, steps))
        again = units > TOLERANCE and apart > 1
        # Rounding grows by a factor in each step, so that its logarithm grows by the number of steps.
        aimed = apart * math.log(AIM) / math.log(units) if units > 1 else math.inf
        if 2 * units > TOLERANCE or aimed >= 2 * self.spacing:
            self.spacing = max(1, int(min(aimed, 2 * apart)))
        return again

    def complaint(self) -> str | None:
        """Why the gradients of the last `backward` are not to be trusted, and what to write; once, until the drift is
        small again."""
        off = self.drift is not None and self.drift > UNTRUE
        warned, self._warned = self._warned, off
        if not off or warned:
            return None
        if self.automatic:
            advice = "a single step loses that much, so scales have become too small"
        elif self._value is None:
            advice = 'write G.anchors = "auto"'
        else:
            advice = f'G.anchors = {self._value} is too many steps, write G.anchors = "auto"'
        return (
            f"a state recomputed from the output is off by {self.drift:.1g} of its size, so that these gradients are "
            f"not to be trusted; {advice}"
        )
