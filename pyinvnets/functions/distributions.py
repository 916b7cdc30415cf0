"""Samples of upstream's test distributions.

Source: InvertibleNetworks.jl, src/utils/test_distributions.jl.
"""

from __future__ import annotations

import math

import numpy as np

from ..engines.choice import get_engine


def sample_banana(
    batchsize: int, c: tuple[float, float] = (1.0, 4.0), *, seed: int | None = None, engine: str | None = None
) -> np.ndarray:
    """Samples of the banana, the two-dimensional Rosenbrock distribution.

    With `u`, `v` standard normal: `x1 = u / c1` and `x2 = c1 v + c1 c2 (u^2 + c1^2)`. The differential entropy is
    that of the normal, `1 + log(2 pi)`: the map from `(u, v)` keeps volumes.

    Args:
        batchsize: number of samples.
        c: the two constants, `c1` not zero.
        seed: for the same samples again; each engine draws its own.

    Returns:
        Shape `(1, 1, 2, batchsize)`, float32.

    Raises:
        ValueError: a batch size below one, or constants that are not finite or zero.
    """
    constants = tuple(float(x) for x in c)
    if len(constants) != 2 or not all(map(math.isfinite, constants)) or constants[0] == 0:
        raise ValueError(f"sample_banana: c must be two finite numbers, the first not zero, got {constants}")
    return get_engine(engine).call("sample_banana", _count(batchsize, "sample_banana"), *constants, seed)


def sample_swirl(
    batchsize: int, noise: float = 1.0, *, seed: int | None = None, engine: str | None = None
) -> np.ndarray:
    """Samples of a spiral of two and a quarter turns, with uniform noise in `[0, noise)` added to each coordinate.

    Returns:
        Shape `(1, 1, 2, batchsize)`, float32.

    Raises:
        ValueError: a batch size below one, or noise that is negative or not finite.
    """
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"sample_swirl: noise must be a finite number, zero or more, got {noise}")
    return get_engine(engine).call("sample_swirl", _count(batchsize, "sample_swirl"), float(noise), seed)


def _count(batchsize: int, owner: str) -> int:
    if not isinstance(batchsize, (int, np.integer)) or batchsize < 1:
        raise ValueError(f"{owner}: batchsize must be a positive integer, got {batchsize!r}")
    return int(batchsize)
