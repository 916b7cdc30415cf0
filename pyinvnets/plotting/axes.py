"""What all figures share: where they are drawn, and their colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET, GENERATED, LATENT = "tab:blue", "tab:orange", "black"


def axes_of(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]
