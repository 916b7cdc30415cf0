"""How gradients of deep networks are kept true."""

from __future__ import annotations

from typing import Any

from ..._warnings import warn


class Anchored:
    """What keeps states of the flow for `backward`."""

    model: Any
    title: Any

    @property
    def anchors(self) -> int | str | None:
        """How `backward` is kept true in deep networks: `forward` keeps the flow's state after every so many steps, and
        `backward` of what that `forward` returned goes on from it, in place of the state recomputed by inversion.

        A number is how many steps lie between two states. `"auto"`, which every network begins with, finds it: where a
        recomputed state is off from the kept one by more than a hundred epsilon of its size, `backward` begins again
        with states that lie closer together, and the next ones follow the drift that was seen. `"auto"` keeps the
        input too. `None` keeps nothing, as upstream. What is kept is freed by the next `backward` or `forward`;
        `G.summary` says how much it is. Where what is recomputed is off by a thousandth of its size, `backward` warns.

        Of a `Sequential` it is set in all parts, and what goes from one to the next is kept too.

        Raises:
            ValueError: the value set is none of these.
        """
        return self.model.anchors.value

    @anchors.setter
    def anchors(self, value: int | str | None) -> None:
        number = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if not (number or value in (None, "auto")):
            raise ValueError(f'{self.title}: anchors must be a positive integer, "auto" or None, got {value!r}')
        for part in getattr(self.model, "parts", {}).values():
            part.anchors = value
        self.model.anchors.value, self.model.kept = value, None

    @property
    def drift(self) -> float | None:
        """By how much states that the last `backward` recomputed were off from those that `forward` saw, at most,
        relative to their size; `None` where there was nothing to compare with."""
        return self.model.anchors.drift

    @property
    def spacings(self) -> list[int]:
        """How many steps lie between two states now, in the network and in its parts: what `"auto"` has come to."""
        parts = getattr(self.model, "parts", {}).values()
        return [self.model.anchors.spacing, *(spacing for part in parts for spacing in part.spacings)]

    @spacings.setter
    def spacings(self, values: list[int]) -> None:
        self.model.anchors.spacing, *others = values
        for part in getattr(self.model, "parts", {}).values():
            count = len(part.spacings)
            part.spacings, others = others[:count], others[count:]

    def warn_of_drift(self, title: str) -> None:
        """Say that the gradients of the last `backward` are not to be trusted, where that is so."""
        complaint = self.model.anchors.complaint()
        if complaint:
            warn(f"{title}: {complaint}", RuntimeWarning)
