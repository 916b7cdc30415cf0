"""Rows, and the images of one pixel that they are to a network."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec


def checked_rows(title: str, name: str, rows: Any, width: int) -> np.ndarray:
    if not isinstance(rows, np.ndarray):
        raise TypeError(f"{title}: {name} must be a NumPy array, got {type(rows).__name__}")
    if rows.ndim != 2 or rows.shape[1] != width or not len(rows):
        raise ValueError(
            f"{title}: {name} must have shape (n_samples, {width}), a row for each sample, got {rows.shape}"
        )
    return rows


def as_image(rows: np.ndarray, space: ArraySpec) -> np.ndarray:
    return rows.reshape(*rows.shape, *(1,) * (space.ndims or 0)).T


def some_rows(C: np.ndarray | None, part: slice) -> np.ndarray | None:
    """These rows of a condition; one for all for each of them."""
    if C is None or len(C) > 1:
        return C if C is None else C[part]
    return np.repeat(C, part.stop - part.start, axis=0)


def rows_of(latent: np.ndarray) -> np.ndarray:
    """Images of one pixel as rows, without a copy."""
    return latent.T.reshape(latent.shape[-1], -1)
