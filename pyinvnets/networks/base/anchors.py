"""How gradients of deep networks are kept true."""

from __future__ import annotations

from typing import Any


class Anchored:
    """What keeps states of the flow for `backward`, where its engine can."""

    model: Any
    title: Any

    @property
    def anchors(self) -> int | str | None:
        """How `backward` is kept true in deep networks: `forward` keeps the flow's state after every so many steps, and
        `backward` of what that `forward` returned goes on from it, in place of the state recomputed by inversion.

        A number is how many steps lie between two states. `"auto"` begins with eight, and halves that where a state was
        off by more than the square root of epsilon. `None` keeps none, as upstream. A state has the input's size, and
        is kept until the next `backward` or `forward`. `backward` warns of what is off by a hundredth.

        Raises:
            ValueError: the value set is none of these, or the engine keeps no states.
        """
        return getattr(self.model, "anchors", None)

    @anchors.setter
    def anchors(self, value: int | str | None) -> None:
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not (number or value in (None, "auto")):
            raise ValueError(f'{self.title}: anchors must be a positive integer, "auto" or None, got {value!r}')
        if not hasattr(self.model, "anchors"):
            raise ValueError(f"{self.title}: anchors are set on single networks of the NumPy engine so far")
        self.model.anchors = value
