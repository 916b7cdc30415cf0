"""Flux models as blocks, on the Julia engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from .base.layer import Layer
from .base.shapes import ParameterShape
from .base.summary import Shape, Step


class FluxBlock(Layer):
    """A Flux model made in Julia, with the interface of a layer. It is not invertible. It can be the summary
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
    _not_invertible = "it is not invertible"

    def __init__(self, model: Any, *, engine: str | None = "julia") -> None:
        self._open(engine, None, self._described({"X": ArraySpec()}, {"Y": ArraySpec()}))

    @staticmethod
    def shapes(**_: Any) -> Iterator[ParameterShape]:
        raise ValueError("it holds a model of Flux, which no file does")

    def steps(self, shape: Shape) -> list[Step]:
        return [Step("FluxBlock", "", None)]

    def forward(self, X: np.ndarray) -> np.ndarray:
        """The model's output.

        Raises:
            TypeError: X is not an array of the model's dtype.
            ValueError: the model does not take X.
        """
        return self._run("forward", (self.signature.data,), X=X)

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
        return self._run("backward", (self.signature.latent, self.signature.data), dY=dY, X=X)
