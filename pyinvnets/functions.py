"""Upstream's free functions: squeezes, splits, objectives and test distributions, on either engine.

Source: InvertibleNetworks.jl, src/utils/dimensionality_operations.jl, objective_functions.jl and
test_distributions.jl.
"""

from __future__ import annotations

import math

import numpy as np

from .activations import check_pattern, check_wavelet, checked_divisible, checked_even
from .arrays import Space, checked
from .engines import get_engine

_ANY = Space()


def squeeze(X: np.ndarray, pattern: str = "column", *, engine: str | None = None) -> np.ndarray:
    """Move half of each spatial axis into channels.

    ```
    1 2 3 4        1 1 3 3        1 3 1 3
    1 2 3 4        1 1 3 3        2 4 2 4
    1 2 3 4        2 2 4 4        1 3 1 3
    1 2 3 4        2 2 4 4        2 4 2 4

    column          patch       checkerboard
    ```

    Args:
        X: shape `(nx, ny, n_channels, n_samples)` with even `nx` and `ny`, or with one or three spatial axes.
        pattern: `"column"`, `"patch"` or `"checkerboard"`.

    Returns:
        Shape `(nx/2, ny/2, 4 n_channels, n_samples)`.

    Raises:
        ValueError: an odd size or an unknown pattern.
    """
    check_pattern(pattern, "squeeze")
    return get_engine(engine).call("squeeze", checked_even("X", X, "squeeze"), pattern)


def unsqueeze(Y: np.ndarray, pattern: str = "column", *, engine: str | None = None) -> np.ndarray:
    """The inverse of `squeeze`: `(nx, ny, n_channels, n_samples)` to `(2 nx, 2 ny, n_channels/4, n_samples)`.

    Raises:
        ValueError: channels that do not divide, or an unknown pattern.
    """
    check_pattern(pattern, "unsqueeze")
    return get_engine(engine).call("unsqueeze", checked_divisible("Y", Y, "unsqueeze"), pattern)


def wavelet_squeeze(X: np.ndarray, type: str = "db1", *, engine: str | None = None) -> np.ndarray:
    """One level of the wavelet transform of each channel, its parts moved into channels; shapes as `squeeze`.

    Raises:
        ValueError: an odd size, or a wavelet other than `"db1"`, also called `"haar"`.
    """
    check_wavelet(type, "wavelet_squeeze")
    return get_engine(engine).call("wavelet_squeeze", checked_even("X", X, "wavelet_squeeze"), type)


def wavelet_unsqueeze(Y: np.ndarray, type: str = "db1", *, engine: str | None = None) -> np.ndarray:
    """The inverse of `wavelet_squeeze`."""
    check_wavelet(type, "wavelet_unsqueeze")
    return get_engine(engine).call("wavelet_unsqueeze", checked_divisible("Y", Y, "wavelet_unsqueeze"), type)


def Haar_squeeze(X: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The Haar transform by lifting; shapes as `squeeze`."""
    return get_engine(engine).call("Haar_squeeze", checked_even("X", X, "Haar_squeeze"))


def invHaar_unsqueeze(Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The inverse of `Haar_squeeze`."""
    return get_engine(engine).call("invHaar_unsqueeze", checked_divisible("Y", Y, "invHaar_unsqueeze"))


def tensor_split(
    X: np.ndarray, split_index: int | None = None, *, engine: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The first `split_index` channels and the rest; half of them by default, a half rounded to even.

    Raises:
        ValueError: the index leaves one side without channels.
    """
    X = checked("X", X, _ANY, None, "tensor_split")
    n = X.shape[-2]
    index = round(n / 2) if split_index is None else split_index
    if not 0 < index < n:
        raise ValueError(f"tensor_split: cannot split {n} channel(s) after {index}; expected 1 to {n - 1}")
    return get_engine(engine).call("tensor_split", X, index)


def tensor_cat(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """Join two arrays along channels, the inverse of `tensor_split`.

    Raises:
        ValueError: they differ in another axis.
    """
    X, Y = (checked(k, a, _ANY, None, "tensor_cat") for k, a in (("X", X), ("Y", Y)))
    if X.shape[:-2] != Y.shape[:-2] or X.shape[-1] != Y.shape[-1] or X.dtype != Y.dtype:
        raise ValueError(
            f"tensor_cat: arrays must agree in dtype and all axes but the channels, got {X.shape} {X.dtype} and "
            f"{Y.shape} {Y.dtype}"
        )
    return get_engine(engine).call("tensor_cat", X, Y)


def log_likelihood(X: np.ndarray, mu: float = 0.0, sigma: float = 1.0, *, engine: str | None = None) -> float:
    """The mean over samples of `-|x - mu|^2 / (2 sigma^2)`: the Gaussian's constant is left out, as upstream does."""
    return get_engine(engine).call("log_likelihood", _objective("X", X, "log_likelihood"), mu, _positive(sigma))


def grad_log_likelihood(X: np.ndarray, mu: float = 0.0, sigma: float = 1.0, *, engine: str | None = None) -> np.ndarray:
    """The gradient of `log_likelihood` with respect to X; upstream's `∇log_likelihood`."""
    return get_engine(engine).call(
        "grad_log_likelihood", _objective("X", X, "grad_log_likelihood"), mu, _positive(sigma)
    )


def mse(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> float:
    """Half the squared distance of X and Y, the mean over samples."""
    return get_engine(engine).call("mse", *_pair(X, Y, "mse"))


def grad_mse(X: np.ndarray, Y: np.ndarray, *, engine: str | None = None) -> np.ndarray:
    """The gradient of `mse` with respect to X; upstream's `∇mse`."""
    return get_engine(engine).call("grad_mse", *_pair(X, Y, "grad_mse"))


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
    c = tuple(float(x) for x in c)
    if len(c) != 2 or not all(map(math.isfinite, c)) or c[0] == 0:
        raise ValueError(f"sample_banana: c must be two finite numbers, the first not zero, got {c}")
    return get_engine(engine).call("sample_banana", _count(batchsize, "sample_banana"), *c, seed)


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


def _objective(name: str, X: np.ndarray, owner: str) -> np.ndarray:
    """Any array of floats with samples on its last axis; a multiscale latent, a vector, has no such axis."""
    if isinstance(X, np.ndarray) and X.ndim == 1:
        raise ValueError(
            f"{owner}: {name} must have samples on its last axis, got a vector of shape {X.shape}; write "
            f"{name}.reshape(-1, n_samples) for a sum over all of them divided by n_samples"
        )
    if isinstance(X, np.ndarray) and X.ndim == 2:
        return checked(name, X[None], _ANY, None, owner)[0]
    return checked(name, X, _ANY, None, owner)


def _pair(X: np.ndarray, Y: np.ndarray, owner: str) -> tuple[np.ndarray, np.ndarray]:
    X, Y = _objective("X", X, owner), _objective("Y", Y, owner)
    if X.shape != Y.shape or X.dtype != Y.dtype:
        raise ValueError(
            f"{owner}: X and Y must agree in shape and dtype, got {X.shape} {X.dtype}, {Y.shape} {Y.dtype}"
        )
    return X, Y


def _positive(sigma: float) -> float:
    if not (math.isfinite(sigma) and sigma > 0):
        raise ValueError(f"sigma must be a positive finite number, got {sigma}")
    return float(sigma)


def _count(batchsize: int, owner: str) -> int:
    if not isinstance(batchsize, (int, np.integer)) or batchsize < 1:
        raise ValueError(f"{owner}: batchsize must be a positive integer, got {batchsize!r}")
    return int(batchsize)
