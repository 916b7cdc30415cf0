"""Flux models as blocks, on the Julia engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..arrays.spec import ArraySpec
from .base.block import Block
from .base.shapes import ParameterShape
from .base.summary import Shape, Step


class FluxBlock(Block):
    """A Flux model made in Julia, with the interface of a layer. It is not invertible. It can be the summary
    network of a `SummarizedNet`.

    Args:
        model: a `Chain` of Flux, as juliacall gives it, such as `juliacall.Main.seval("Flux.Chain(…)")`.
        engine: `"julia"`; it is for the Julia engine only.

    Arrays: what the model takes and gives, with channels and samples on the last two axes.
    Parameters: `params[1]` and so on, in the order of `Flux.params`.
    Raises: ValueError for another engine; in `forward` and `backward` also where the model does not take X.
    Gradients: by Zygote.
    Source: upstream's own.
    """

    upstream = "src/layers/layer_flux_block.jl"

    def __init__(self, model: Any, *, engine: str | None = "julia") -> None:
        self._open(engine, None, self._described({"X": ArraySpec()}, {"Y": ArraySpec()}))

    @staticmethod
    def shapes(**_: Any) -> Iterator[ParameterShape]:
        raise ValueError("it holds a model of Flux, which no file does")

    def steps(self, shape: Shape) -> list[Step]:
        return [Step("FluxBlock", "", None)]
