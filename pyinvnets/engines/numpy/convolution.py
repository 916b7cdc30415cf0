"""Convolutions as matrix products over the whole batch.

A convolution gathers the pixels under each tap of its kernel into columns and multiplies once; its adjoint
multiplies first and scatters the columns back. Kernels have NNlib's layout, `(n_out, n_in, *kernel)` here, and
are flipped, as in a true convolution.
"""

from __future__ import annotations

import functools
import itertools

import numpy as np
from numpy.lib.stride_tricks import as_strided


class Geometry:
    """Where the taps of a kernel fall on an image of a given size.

    Taps that only ever meet the padding (eight of nine, for a 3x3 kernel on one pixel) are left out.
    """

    def __init__(self, spatial: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> None:
        self.spatial, self.kernel, self.stride, self.padding = spatial, kernel, stride, padding
        self.out = tuple((n + 2 * padding - k) // stride + 1 for n, k in zip(spatial, kernel, strict=True))
        self.taps = tuple(self._useful_taps(n, k, o) for n, k, o in zip(spatial, kernel, self.out, strict=True))
        self.n_taps = tuple(t.stop - t.start for t in self.taps)
        self.all_taps = self.n_taps == kernel
        self.pointwise = all(
            t == 1 and n == o and (n == 1 or (stride == 1 and k == 1))
            for t, n, o, k in zip(self.n_taps, spatial, self.out, kernel, strict=True)
        )

    def _useful_taps(self, n: int, k: int, out: int) -> slice:
        useful = [
            tap for tap in range(k) if any(0 <= o * self.stride - self.padding + (k - 1 - tap) < n for o in range(out))
        ]
        return slice(useful[0], useful[-1] + 1) if useful else slice(0, 0)

    def _offset(self, axis: int, tap: int) -> int:
        return self.kernel[axis] - 1 - tap

    def matrix(self, weight: np.ndarray) -> np.ndarray:
        """`(rows, n_channels * taps)` of a kernel `(rows, n_channels, *kernel)`."""
        if not self.all_taps:
            weight = weight[(slice(None), slice(None), *self.taps)]
        return weight.reshape(len(weight), -1)

    def matrix_gradient(self, left: np.ndarray, columns: np.ndarray, out: np.ndarray) -> None:
        """Write `left @ columns.T` into `out`, a kernel's gradient; zero at the taps left out."""
        if self.all_taps:
            np.matmul(left, columns.T, out=out.reshape(len(out), -1))
            return
        out[...] = 0
        used = out[(slice(None), slice(None), *self.taps)]
        used[...] = (left @ columns.T).reshape(used.shape)

    def gather(self, x: np.ndarray) -> np.ndarray:
        """Columns `(n_channels * taps, n_samples * pixels out)` of an image `(n_channels, n_samples, *spatial)`."""
        if self.pointwise:
            return x.reshape(len(x), -1)
        channels, samples = x.shape[:2]
        p = self.padding
        if p:
            padded = np.zeros((channels, samples, *(n + 2 * p for n in self.spatial)), x.dtype)
            padded[(..., *(slice(p, p + n) for n in self.spatial))] = x
            x = padded
        elif not x.flags.c_contiguous:
            x = np.ascontiguousarray(x)
        first = x[(..., *(slice(self._offset(i, t.start), None) for i, t in enumerate(self.taps)))]
        windows = as_strided(
            first,
            shape=(channels, *self.n_taps, samples, *self.out),
            strides=(
                x.strides[0],
                *(-s for s in x.strides[2:]),
                x.strides[1],
                *(s * self.stride for s in x.strides[2:]),
            ),
            writeable=False,
        )
        return windows.reshape(channels * int(np.prod(self.n_taps)), -1)

    def scatter(self, columns: np.ndarray, samples: int) -> np.ndarray:
        """The adjoint of `gather`: `(n_channels, n_samples, *spatial)`."""
        if self.pointwise:
            return columns.reshape(-1, samples, *self.spatial)
        p = self.padding
        columns = columns.reshape(-1, *self.n_taps, samples, *self.out)
        padded = np.zeros((len(columns), samples, *(n + 2 * p for n in self.spatial)), columns.dtype)
        for index in itertools.product(*map(range, self.n_taps)):
            starts = [self._offset(i, self.taps[i].start + t) for i, t in enumerate(index)]
            window = (
                slice(s, s + self.stride * (o - 1) + 1, self.stride) for s, o in zip(starts, self.out, strict=True)
            )
            padded[(..., *window)] += columns[(slice(None), *index)]
        if not p:
            return padded
        return np.ascontiguousarray(padded[(..., *(slice(p, p + n) for n in self.spatial))])


@functools.lru_cache(maxsize=256)
def geometry(spatial: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> Geometry:
    return Geometry(spatial, kernel, stride, padding)
