"""Arrays and networks on a GPU, through CUDA.jl, on the Julia engine.

Written against the source of CUDA.jl 5.9, not yet run on a GPU.

A `DeviceArray` shares its memory with CuPy and PyTorch by `__cuda_array_interface__`, both ways and without a copy.
Each call into Julia waits, before and after, for all work on the GPU, so no stream has to be told of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...arrays.cuda_interface import TYPES, described, is_on_gpu
from .. import julia
from .device_array import DeviceArray

if TYPE_CHECKING:
    from .engine import JuliaEngine


def gpu_available() -> bool:
    """Whether CUDA.jl can use a GPU here. Where Julia is set up, this starts it; where not, the answer is no."""
    if not julia.ready():
        return False
    try:
        return bool(julia.start().bridge.cuda_usable())
    except julia.JuliaError:
        return False


def gpu(X: Any) -> DeviceArray:
    """An array on the GPU.

    Args:
        X: a NumPy array of float32 or float64, which is copied, or an array on the GPU with
            `__cuda_array_interface__`, such as CuPy's or a PyTorch tensor, whose memory is shared. That must be
            column-major, which a C-contiguous batch `(N, C, H, W)` is once transposed.

    Raises:
        RuntimeError: there is no GPU that CUDA.jl can use.
        TypeError: X is no such array.
        ValueError: X is on the GPU and read-only, or not column-major.
    """
    if isinstance(X, DeviceArray):
        return X
    if isinstance(X, np.ndarray):
        if X.dtype not in TYPES.values():
            raise TypeError(f"gpu: X must be float32 or float64, got {X.dtype}; write X.astype(np.float32)")
    elif not is_on_gpu(X):
        raise TypeError(
            f"gpu: X must be a NumPy array or have __cuda_array_interface__, got {type(X).__name__}; "
            "write np.asarray(X, dtype=np.float32)"
        )
    else:
        described(X)
    return DeviceArray.of(_engine("gpu").bridge, X)


def cpu(X: Any) -> np.ndarray:
    """An array of the GPU, a `DeviceArray` or any with `__cuda_array_interface__`, copied to NumPy's memory; a NumPy
    array as it is.

    Raises:
        TypeError, ValueError: as `gpu`.
    """
    if isinstance(X, np.ndarray):
        return X
    if not is_on_gpu(X):
        raise TypeError(f"cpu: X must be an array on the GPU or a NumPy array, got {type(X).__name__}")
    return gpu(X).numpy()


def _engine(caller: str) -> JuliaEngine:
    engine = julia.start()
    if not engine.bridge.cuda_usable():
        raise RuntimeError(f"{caller}: CUDA.jl finds no GPU that it can use here; see pyinvnets.gpu_available()")
    return engine
