"""What files of BSON.jl and of JLD2 have in common: variables, of which one holds the parameters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np

T = TypeVar("T")

Found = list[np.ndarray | str | None]
"""The values of a variable's parameters: those that are no arrays of floats as the name of their type."""


def parameters_of(path: Path, name: str | None, found: dict[str, Found]) -> list[np.ndarray | None]:
    """The parameters of the chosen variable, or of the only one that has some.

    Raises:
        ValueError: there is no such variable, none with parameters, several of which none is chosen, or a parameter is
            no array of floats.
    """
    chosen = _chosen(path, name, found)
    foreign = next((value for value in found[chosen] if isinstance(value, str)), None)
    if foreign is not None:
        raise ValueError(
            f"{path}: {chosen} holds a parameter of type {foreign}, expected Array of Float32 or Float64; in Julia, "
            "move the parameters into main memory with `|> cpu` before saving"
        )
    return [value for value in found[chosen] if not isinstance(value, str)]


def _chosen(path: Path, name: str | None, found: dict[str, Found]) -> str:
    """The variable that holds the parameters."""
    if name is not None and name not in found:
        raise ValueError(f"{path} has no variable {name!r}, it has {_listed(found)}")
    holding = [key for key, values in found.items() if values and name in (None, key)]
    if not holding:
        raise ValueError(
            f"{path}: expected parameters of InvertibleNetworks.jl, as get_params(G) gives them, found none in "
            f"{name or _listed(found)}"
        )
    if len(holding) > 1:
        raise ValueError(f"{path} has parameters in {_listed(holding)}; choose one, such as name={holding[0]!r}")
    return holding[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


def row_by_row(items: list[T], size: list[int] | tuple[int, ...]) -> list[T]:
    """A matrix of layers as upstream goes through it; Julia's order is column by column."""
    order = np.arange(len(items)).reshape(size, order="F")
    return [items[i] for i in order.ravel()]
