"""Convolutions as matrix products over the whole batch.

A convolution gathers the pixels under each tap of its kernel into columns and multiplies once; its adjoint
multiplies first and scatters the columns back. Kernels have NNlib's layout, `(n_out, n_in, *kernel)` here, and
are flipped, as in a true convolution.

Here samples come last, `(n_channels, *spatial, n_samples)`: what a tap moves is then whole rows of pixels of all
samples, long enough to copy fast however small the images.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np


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
        self.inside = (slice(None), *(slice(padding, padding + n) for n in spatial))
        self.windows = [self._window(taps) for taps in itertools.product(*(range(t.start, t.stop) for t in self.taps))]
        self.pointwise = all(
            t == 1 and n == o and (n == 1 or (stride == 1 and k == 1))
            for t, n, o, k in zip(self.n_taps, spatial, self.out, kernel, strict=True)
        )

    def _useful_taps(self, n: int, k: int, out: int) -> slice:
        useful = [
            tap for tap in range(k) if any(0 <= o * self.stride - self.padding + (k - 1 - tap) < n for o in range(out))
        ]
        return slice(useful[0], useful[-1] + 1) if useful else slice(0, 0)

    def _window(self, taps: tuple[int, ...]) -> tuple[slice, ...]:
        """The padded image's pixels under one tap."""
        starts = (self._offset(axis, tap) for axis, tap in enumerate(taps))
        return slice(None), *(
            slice(s, s + self.stride * (o - 1) + 1, self.stride) for s, o in zip(starts, self.out, strict=True)
        )

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
        """Columns `(n_channels * taps, pixels out * n_samples)` of an image `(n_channels, *spatial, n_samples)`."""
        if self.pointwise:
            return x.reshape(len(x), -1)
        channels, samples = len(x), x.shape[-1]
        padded = self._padded(channels, samples, x.dtype)
        padded[self.inside] = x
        by_channel, *by_pixel, by_sample = padded.strides
        windows = np.ndarray(
            (channels, *self.n_taps, *self.out, samples),
            x.dtype,
            buffer=padded,
            offset=sum(
                stride * self._offset(i, t.start) for i, (t, stride) in enumerate(zip(self.taps, by_pixel, strict=True))
            ),
            strides=(by_channel, *(-s for s in by_pixel), *(s * self.stride for s in by_pixel), by_sample),
        )
        return windows.reshape(channels * math.prod(self.n_taps), -1)

    def scatter(self, columns: np.ndarray, samples: int) -> np.ndarray:
        """The adjoint of `gather`: `(n_channels, *spatial, n_samples)`."""
        if self.pointwise:
            return columns.reshape(-1, *self.spatial, samples)
        columns = columns.reshape(-1, math.prod(self.n_taps), *self.out, samples)
        padded = self._padded(len(columns), samples, columns.dtype)
        for tap, window in enumerate(self.windows):
            padded[window] += columns[:, tap]
        return padded[self.inside]

    def _padded(self, channels: int, samples: int, dtype: np.dtype) -> np.ndarray:
        return np.zeros((channels, *(n + 2 * self.padding for n in self.spatial), samples), dtype)


@functools.lru_cache(maxsize=256)
def geometry(spatial: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int) -> Geometry:
    return Geometry(spatial, kernel, stride, padding)
