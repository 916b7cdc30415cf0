"""Arrays and networks on a GPU, through CUDA.jl, on the Julia engine.

Written against the source of CUDA.jl 5.9, not yet run on a GPU.

A `DeviceArray` shares its memory with CuPy and PyTorch by `__cuda_array_interface__`, both ways and without a copy.
Each call into Julia waits, before and after, for all work on the GPU, so no stream has to be told of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .engines import julia

if TYPE_CHECKING:
    from .engines.julia.engine import Bridge

ON_THE_CPU = "upstream squeezes it by Wavelets.jl, which computes on the CPU; leave it there"
TYPES = {"<f4": np.dtype(np.float32), "<f8": np.dtype(np.float64)}


class DeviceArray:
    """An array in the GPU's memory, in column-major order: a thin proxy of CUDA.jl's `CuArray`.

    `inv.gpu(X)` makes one, and networks on the GPU take and return them. It has `+`, `-`, `*` and `/` with numbers and
    arrays of its shape, and samples can be read and written: `X[..., 150:300]` is a view. For all other arithmetic
    hand it to a library for that, without a copy: `cupy.asarray(X)`, `torch.as_tensor(X, device="cuda")`.

    Attributes:
        shape: Julia's shape.
        dtype: float32 or float64.
        julia: the `CuArray` as juliacall's object.
    """

    __slots__ = ("_address", "_bridge", "_owner", "dtype", "julia", "shape")

    __array_ufunc__ = None
    __iter__ = None

    def __init__(self, bridge: Bridge, julia: Any, owner: Any = None) -> None:
        double, self._address, *shape = bridge.layout(julia)
        self.shape, self.dtype = tuple(shape), np.dtype(np.float64 if double else np.float32)
        self._bridge, self.julia, self._owner = bridge, julia, owner

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """Version 3. Julia has finished its work on the array, so there is no stream to wait for."""
        return {
            "version": 3,
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self._address, False),
            "strides": column_major(self.shape, self.dtype.itemsize),
            "stream": None,
        }

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a DeviceArray is in the GPU's memory; write .numpy() for a copy in NumPy's")

    def numpy(self) -> np.ndarray:
        """A copy in NumPy's memory, in column-major order."""
        return np.asarray(self._bridge.to_host(self.julia))

    def copy(self, order: str = "F") -> DeviceArray:
        """A copy on the GPU; there is no other order."""
        return self._new(self._bridge.copied(self.julia))

    def repeated(self, samples: int) -> DeviceArray:
        """So many copies of it, one after the other on the last axis."""
        return self._new(self._bridge.repeated(self.julia, samples))

    def half_squares(self, samples: int, splits: int) -> DeviceArray:
        """Of each sample's elements the squares, halved and summed, in float64; see `density.by_sample`."""
        return self._new(self._bridge.half_squares(self.julia, samples, splits))

    def sum_of_squares(self) -> float:
        """Of all elements, in float64."""
        return self._bridge.sum_of_squares(self.julia)

    def _new(self, julia: Any) -> DeviceArray:
        return DeviceArray(self._bridge, julia, self._owner)

    def __getitem__(self, key: Any) -> DeviceArray:
        """`X[..., a:b]`: these samples, as a view."""
        if key is Ellipsis:
            return self
        if not (isinstance(key, tuple) and len(key) == 2 and key[0] is Ellipsis and isinstance(key[1], slice)):
            raise TypeError(f"a DeviceArray has X[...] and X[..., first:last] alone, got X[{key!r}]")
        first, last, step = key[1].indices(self.shape[-1])
        if step != 1:
            raise TypeError(f"the samples of a DeviceArray are read in steps of one, got {step}")
        return self._new(self._bridge.part(self.julia, first + 1, max(first, last)))

    def __setitem__(self, key: Any, value: Any) -> None:
        """Copy an array of the same shape in."""
        target, value = self[key], gpu(value)
        if value.shape != target.shape:
            raise ValueError(f"expected an array of shape {target.shape}, got {value.shape}")
        self._bridge.fill_from_b(target.julia, value.julia)

    def _elementwise(self, operation: str, left: Any, right: Any) -> DeviceArray:
        operands = []
        for operand in (left, right):
            if isinstance(operand, DeviceArray):
                if operand.shape != self.shape:
                    raise ValueError(f"arrays of one shape are needed, got {left.shape} and {right.shape}")
                operands.append(operand.julia)
            elif isinstance(operand, (int, float, np.number)):
                operands.append(float(operand))
            else:
                return NotImplemented
        return self._new(self._bridge.elementwise(operation, *operands))

    def __neg__(self) -> DeviceArray:
        return self._elementwise("*", -1, self)

    def __add__(self, other: Any) -> DeviceArray:
        return self._elementwise("+", self, other)

    def __radd__(self, other: Any) -> DeviceArray:
        return self._elementwise("+", other, self)

    def __sub__(self, other: Any) -> DeviceArray:
        return self._elementwise("-", self, other)

    def __rsub__(self, other: Any) -> DeviceArray:
        return self._elementwise("-", other, self)

    def __mul__(self, other: Any) -> DeviceArray:
        return self._elementwise("*", self, other)

    def __rmul__(self, other: Any) -> DeviceArray:
        return self._elementwise("*", other, self)

    def __truediv__(self, other: Any) -> DeviceArray:
        return self._elementwise("/", self, other)

    def __rtruediv__(self, other: Any) -> DeviceArray:
        return self._elementwise("/", other, self)

    def __imul__(self, factor: float) -> DeviceArray:
        self._bridge.scale_b(self.julia, float(factor))
        return self

    def __repr__(self) -> str:
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype})"


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
        return _engine("gpu").to_device(np.require(X, requirements=("F", "A")))
    if not is_on_gpu(X):
        raise TypeError(
            f"gpu: X must be a NumPy array or have __cuda_array_interface__, got {type(X).__name__}; "
            "write np.asarray(X, dtype=np.float32)"
        )
    address, dtype, shape = described(X)
    bridge = _engine("gpu").bridge
    return DeviceArray(bridge, bridge.wrap(dtype.itemsize == 8, address, *shape), owner=X)


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


def is_on_gpu(X: Any) -> bool:
    """Whether X is an array on a GPU, of whatever library."""
    return hasattr(X, "__cuda_array_interface__")


def described(X: Any) -> tuple[int, np.dtype, tuple[int, ...]]:
    """The address, type and shape of an array with `__cuda_array_interface__`, as Julia can use it.

    Raises:
        TypeError: it holds no float32 or float64, or is masked.
        ValueError: it is read-only, or not column-major.
    """
    interface = X.__cuda_array_interface__
    kind, shape = type(X).__name__, tuple(interface["shape"])
    dtype = TYPES.get(interface["typestr"])
    if dtype is None:
        raise TypeError(f"the elements of the {kind} must be float32 or float64, got {interface['typestr']}")
    if interface.get("mask") is not None:
        raise TypeError(f"the {kind} is masked; expected an array without a mask")
    address, read_only = interface["data"]
    if read_only:
        raise ValueError(f"the {kind} is read-only; a DeviceArray can be written to, so hand in a copy")
    strides = interface.get("strides") or column_major(shape[::-1], dtype.itemsize)[::-1]
    expected = column_major(shape, dtype.itemsize)
    if any(n > 1 and got != right for n, got, right in zip(shape, strides, expected, strict=True)):
        raise ValueError(
            f"the {kind} of shape {shape} must be column-major, strides {expected}, got {tuple(strides)}; "
            "a C-contiguous batch (N, C, H, W) is so once its axes are reversed: x.T of CuPy, "
            "x.permute(3, 2, 1, 0) of PyTorch"
        )
    return address, dtype, shape


def column_major(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The strides of a column-major array, in bytes."""
    return tuple(int(itemsize * np.prod(shape[:i], dtype=np.int64)) for i in range(len(shape)))


def _engine(caller: str) -> julia.JuliaEngine:
    engine = julia.start()
    if not engine.bridge.cuda_usable():
        raise RuntimeError(f"{caller}: CUDA.jl finds no GPU that it can use here; see pyinvnets.gpu_available()")
    return engine


def check_movable(network: Any) -> None:
    """Raises: ValueError for a network that cannot be on a GPU, RuntimeError without one."""
    title = f"{network._title}.gpu"
    if network.engine != "julia":
        raise ValueError(
            f'{title}: only networks of the Julia engine run on a GPU; make it with engine="julia" and write '
            "G.load_state_dict(this.state_dict())"
        )
    if network._no_gpu:
        raise ValueError(f"{title}: {network._no_gpu}")
    _engine(title)
