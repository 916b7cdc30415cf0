"""Flux models as blocks, on the Julia engine."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.spec import Space
from .base.density import NoDensity
from .base.layer import Invertible


class FluxBlock(NoDensity, Invertible):
    """A Flux model, made in Julia, with hand-written layers' interface; it is not invertible. It can be the summary
    network of a `SummarizedNet`.

    Args:
        model: a `Chain` of Flux, as juliacall gives it, such as `juliacall.Main.seval("Flux.Chain(…)")`.
        engine: `"julia"`; it is for the Julia engine only.

    Arrays: what the model takes and gives, with channels and samples on the last two axes.
    Parameters: `params[1]` and so on, in the order of `Flux.params`.
    Raises: ValueError for another engine.
    Source: upstream's own.
    """

    upstream = "src/layers/layer_flux_block.jl"
    _no_density = "it is not invertible"

    def __init__(self, model: Any, *, engine: str | None = "julia") -> None:
        if engine != "julia":
            raise ValueError(
                f'FluxBlock: a Flux model runs on the Julia engine only; write engine="julia", got {engine!r}'
            )
        self._create(engine, None, Space(), Space())

    def forward(self, X: np.ndarray) -> np.ndarray:
        """The model's output.

        Raises:
            TypeError: X is not an array of the model's dtype.
            ValueError: the model does not take X.
        """
        return self._run("forward", (self._data,), X=X)

    def backward(self, dY: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Set every parameter's gradient, by Zygote.

        Args:
            dY: gradient with respect to the output, of its shape.
            X: the input of `forward`.

        Returns:
            The gradient with respect to X.

        Raises:
            TypeError, ValueError: as `forward`.
        """
        return self._run("backward", (self._latent, self._data), dY=dY, X=X)
