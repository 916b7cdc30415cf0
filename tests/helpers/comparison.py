"""How results are compared: by their largest difference, relative to the largest magnitude expected."""

from __future__ import annotations

import numpy as np


def relative_error(got: np.ndarray | float, expected: np.ndarray | float) -> float:
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"shape {got.shape}, expected {expected.shape}"
    scale = np.abs(expected).max()
    return float(np.abs(got - expected).max() / (scale if scale > 0 else 1.0))


def assert_close(got: np.ndarray | float, expected: np.ndarray | float, bound: float, what: str) -> None:
    error = relative_error(got, expected)
    assert error <= bound, f"{what}: relative error {error:.3g}, allowed {bound:.3g}"


def single(arrays, i: int) -> list[np.ndarray]:
    """Sample `i` of each array, as a batch of one."""
    return [np.asfortranarray(array[..., i : i + 1]) for array in arrays]
