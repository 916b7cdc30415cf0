"""Plots of flows on two-dimensional data. Each draws on `ax`, a new figure where it is `None`, and returns it.

Samples have Julia's shape, `(1, 1, 2, n_samples)`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TARGET, GENERATED, LATENT = "tab:blue", "tab:orange", "black"


def target_samples(X: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target distribution."""
    ax = _axes(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    return _labelled(ax, "x", "Target samples")


def latent_samples(Z: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """Latent samples, on square axes."""
    ax = _axes(ax)
    _scatter(ax, Z, Z.shape[-1], LATENT, r"$z \sim p_Z(z)$")
    ax.set(xlim=(-5, 5), ylim=(-5, 5), aspect=1)
    return _labelled(ax, "z", "Latent samples")


def generated_samples(X: np.ndarray, X_new: np.ndarray, *, ax: Axes | None = None) -> Axes:
    """The first 400 samples of the target, and of the flow over them."""
    ax = _axes(ax)
    _scatter(ax, X, 400, TARGET, r"$x \sim p_X(x)$")
    _scatter(ax, X_new, 400, GENERATED, r"$x \sim p_\theta(x) = G_\theta^{-1}(z)$")
    return _labelled(ax, "x", "Generated and target samples")


def latent_to_data(Z: np.ndarray, X: np.ndarray, *, count: int = 150, ax: Axes | None = None) -> Axes:
    """Lines from latent points to the data points that the inverse makes of them."""
    from matplotlib.collections import LineCollection

    ax = _axes(ax)
    start, end = Z[0, 0, :, :count].T, X[0, 0, :, :count].T
    ax.add_collection(LineCollection(np.stack((start, end), axis=1), colors="black", alpha=0.25, linewidths=0.4))
    ax.scatter(*start.T, s=14, alpha=0.5, color=LATENT, linewidths=0, label=r"$z$")
    ax.scatter(*end.T, s=14, alpha=0.7, color=GENERATED, linewidths=0, label=r"$x = G_\theta^{-1}(z)$")
    ax.set(xlabel="First dimension", ylabel="Second dimension", title=r"From latent $z$ to $x = G_\theta^{-1}(z)$")
    ax.legend(loc="upper right")
    return ax


def training_log(
    l2: np.ndarray, lgdet: np.ndarray, *, gaussian: float, best: float | None = None, axes: list[Axes] | None = None
) -> list[Axes]:
    """Three panels over the updates: the l2 term, the log-determinant, and the objective `l2 - lgdet`.

    Args:
        l2, lgdet: a value for each update.
        gaussian: the l2 term of Gaussian noise, half the number of dimensions; drawn as a line.
        best: the smallest possible objective, drawn as a line where it is known.
        axes: three axes to draw on.
    """
    if axes is None:
        import matplotlib.pyplot as plt

        axes = list(plt.subplots(3, 1, sharex=True)[1])
    updates = np.arange(1, len(l2) + 1)
    curves = ((l2, "L2 norm"), (lgdet, "Log-determinant"), (np.subtract(l2, lgdet), "Full objective"))
    for ax, (values, label) in zip(axes, curves, strict=True):
        ax.plot(updates, values, color="black", linewidth=0.8)
        ax.set_ylabel(label)
    axes[0].axhline(gaussian, color="tab:red", linestyle="--", label="Gaussian noise")
    axes[0].legend()
    if best is not None:
        axes[2].axhline(best, color="tab:green", linestyle="--", label="Best possible")
        axes[2].legend()
    axes[2].set_xlabel("Parameter update")
    axes[0].set_title("Training log")
    return axes


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots()[1]


def _scatter(ax: Axes, X: np.ndarray, count: int, color: str, label: str) -> None:
    ax.scatter(X[0, 0, 0, :count], X[0, 0, 1, :count], s=16, alpha=0.5, color=color, linewidths=0, label=label)


def _labelled(ax: Axes, letter: str, title: str) -> Axes:
    ax.set(xlabel=f"${letter}_1$", ylabel=f"${letter}_2$", title=title)
    ax.legend(loc="upper right")
    return ax
