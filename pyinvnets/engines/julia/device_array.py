"""An array in the GPU's memory, as CUDA.jl holds it.

Written against the source of CUDA.jl 5.9, not yet run on a GPU.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from ...arrays.cuda_interface import column_major, described
from .bridge import description

if TYPE_CHECKING:
    from .bridge import Bridge


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

    @classmethod
    def of(cls, bridge: Bridge, X: Any) -> DeviceArray:
        """`X` on the GPU: NumPy's memory is copied, that of another library on the GPU is shared."""
        if isinstance(X, DeviceArray):
            return X
        if isinstance(X, np.ndarray):
            X = np.require(X, requirements=("F", "A"))
            memory = description((X,))
            return cls(bridge, bridge.to_device(X.dtype.itemsize == 8, memory.ctypes.data))
        address, dtype, shape = described(X)
        return cls(bridge, bridge.wrap(dtype.itemsize == 8, address, *shape), owner=X)

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
        target, value = self[key], DeviceArray.of(self._bridge, value)
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
