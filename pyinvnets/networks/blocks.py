"""Blocks made of residual blocks: summaries of what is of another size than the data, or to be seen as a whole."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from ..engines import get_engine
from .base import arguments as check
from .base.block import Block
from .base.composite import CompositeModel
from .base.layer import Layer
from .base.shapes import ParameterShape, within
from .base.summary import Shape, Step
from .compose import Composite
from .residual import ResidualBlock

MOST_LEVELS = 16
"""Of a `UNet`, whose images are then halved to a 65536th."""

_POINTWISE: dict[str, Any] = {"k1": 1, "p1": 0, "k2": 1, "p2": 0, "ndims": 1}
"""Kernels of a residual block that is a multilayer perceptron, on images of one pixel."""


class _BlockModel(CompositeModel):
    def kept_elements(self, shape: Shape) -> int:
        return 0


class BlockOfBlocks(Composite, Block):
    """A block made of residual blocks."""

    _no_gpu = "its images are put together on the CPU; leave it there"

    def steps(self, shape: Shape) -> list[Step]:
        gives = self.signature.latent
        return [Step(type(self).__name__, "", (*(gives.spatial or shape[:-2]), gives.channels or 0, shape[-1]))]


class EmbeddingModel(_BlockModel):
    """A residual block over all elements of a sample, which are the channels of one pixel to it."""

    def __init__(self, block: ResidualBlock, taken: tuple[int, ...], given: tuple[int, ...]) -> None:
        super().__init__({"RB": block})
        self._block, self._taken, self._given = block, taken, given

    def forward(self, X: np.ndarray) -> tuple[np.ndarray]:
        return (_reshaped(self._block.forward(_reshaped(X, (1, -1))), self._given),)

    def backward(self, dY: np.ndarray, X: np.ndarray) -> tuple[np.ndarray]:
        return (_reshaped(self._block.backward(*(_reshaped(array, (1, -1)) for array in (dY, X))), self._taken),)


def _reshaped(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return array.reshape((*shape, array.shape[-1]), order="F")


class EmbeddingBlock(BlockOfBlocks):
    """A multilayer perceptron from images of one size to images of another: what a `SummarizedNet` has where a vector,
    or an image of another size, is the condition of an image. All elements of a sample go through a `ResidualBlock`
    whose kernels are of one pixel: two hidden layers, and a gated linear one.

    Args:
        n_in: number of channels of the input.
        n_hidden: number of hidden features.
        n_out: number of channels of the output.
        size_out: the output's spatial size, one to three integers.
        size_in: the input's, by default one pixel on as many axes: then the input is a vector, of `n_in` elements.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(*size_in, n_in, n_samples)`; the output is `(*size_out, n_out, n_samples)`.
    Parameters: `RB.W1` … `RB.b2`, see `ResidualBlock`; `RB.W3` has as many elements as two outputs times `n_hidden`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: as for `ResidualBlock`.

    >>> import numpy as np
    >>> import pyinvnets as inv
    >>> block = inv.EmbeddingBlock(3, 16, 1, size_out=(8, 8), engine="numpy", seed=1)
    >>> block.forward(np.ones((1, 1, 3, 5), np.float32)).shape
    (8, 8, 1, 5)
    """

    upstream = "none"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        size_out: tuple[int, ...],
        size_in: tuple[int, ...] | None = None,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("EmbeddingBlock", n_in=n_in, n_hidden=n_hidden, n_out=n_out)
        given = check.image_size("EmbeddingBlock", "size_out", size_out)
        taken = (1,) * len(given) if size_in is None else check.image_size("EmbeddingBlock", "size_in", size_in)
        chosen = get_engine(engine)
        elements = [n * math.prod(size) for n, size in ((n_in, taken), (n_out, given))]
        block = ResidualBlock(elements[0], n_hidden, n_out=2 * elements[1], **_POINTWISE, engine=chosen.name, seed=seed)
        signature = self._described(
            {"X": ArraySpec(n_in, len(taken), spatial=taken)}, {"Y": ArraySpec(n_out, len(given), spatial=given)}
        )
        model: Any = EmbeddingModel(block, (*taken, n_in), (*given, n_out))
        self._adopt(chosen, model, signature)

    @staticmethod
    def shapes(n_in: int, n_hidden: int, n_out: int, size_out: Any, size_in: Any = None) -> Iterator[ParameterShape]:
        elements = (n_in * math.prod(size_in or ()), n_out * math.prod(size_out))
        block = ResidualBlock.shapes(elements[0], n_hidden, n_out=2 * elements[1], **_POINTWISE)
        yield from within("RB", block)


class UNetModel(_BlockModel):
    """Residual blocks on the way down, images being halved between them, and on the way up, where images are doubled
    and joined by those of the way down."""

    def __init__(self, down: list[ResidualBlock], up: list[ResidualBlock]) -> None:
        named: dict[str, Layer] = {f"down[{i}]": block for i, block in enumerate(down, 1)}
        super().__init__(named | {f"up[{i}]": block for i, block in enumerate(up, 1)})
        self._down, self._up = down, up

    def _taken(self, X: np.ndarray) -> list[np.ndarray]:
        """What each block takes."""
        taken, given = [X], []
        *others, bottom = self._down
        for block in others:
            given.append(block.forward(taken[-1]))
            taken.append(halved(given[-1]))
        for block in (bottom, *self._up[:-1]):
            Y = doubled(block.forward(taken[-1]))
            taken.append(np.asfortranarray(np.concatenate((Y, given.pop()), axis=-2)))
        return taken

    def forward(self, X: np.ndarray) -> tuple[np.ndarray]:
        return (self._up[-1].forward(self._taken(X)[-1]),)

    def backward(self, dY: np.ndarray, X: np.ndarray) -> tuple[np.ndarray]:
        taken = self._taken(X)
        pixels = 2 ** (X.ndim - 2)
        skipped = []
        for block in reversed(self._up):
            joint = block.backward(dY, taken.pop())
            channels = 2 * joint.shape[-2] // 3
            skipped.append(joint[..., channels:, :])
            dY = pixels * halved(joint[..., :channels, :])
        *others, bottom = self._down
        dY = bottom.backward(dY, taken.pop())
        for block in reversed(others):
            dY = block.backward(np.asfortranarray(doubled(dY) / pixels + skipped.pop()), taken.pop())
        return (dY,)


def halved(X: np.ndarray) -> np.ndarray:
    """Images of half the size: the mean of two, four or eight pixels."""
    for axis in range(X.ndim - 2):
        even, odd = (X[(slice(None),) * axis + (slice(start, None, 2),)] for start in (0, 1))
        X = (even + odd) / 2
    return np.asfortranarray(X)


def doubled(X: np.ndarray) -> np.ndarray:
    """Images of twice the size, each pixel repeated."""
    for axis in range(X.ndim - 2):
        X = X.repeat(2, axis)
    return X


class UNet(BlockOfBlocks):
    """A U-Net of residual blocks: what a `SummarizedNet` has where each pixel of the summary should see all of the
    image. On the way down images are halved, by means of pixels, and their channels doubled; on the way up they are
    doubled, by repeating pixels, and joined by those of the way down.

    Args:
        n_in: number of channels of the input.
        n_hidden: number of channels on the way, before the first halving.
        n_out: number of channels of the output.
        depth: how many times images are halved, up to 16.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`, each spatial size a multiple of `2**depth`; the output has `n_out`
    channels.
    Parameters: `down[1].W1` … `down[depth+1].b2`, `up[1].W1` … `up[depth].b2`, see `ResidualBlock`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Ronneberger, Fischer and Brox (2015), «U-Net: Convolutional networks for biomedical image segmentation»,
    https://arxiv.org/abs/1505.04597.

    >>> import numpy as np
    >>> import pyinvnets as inv
    >>> block = inv.UNet(1, 4, 3, engine="numpy", seed=1)
    >>> block.forward(np.ones((8, 8, 1, 5), np.float32)).shape
    (8, 8, 3, 5)
    """

    upstream = "none"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        n_out: int,
        *,
        depth: int = 2,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.counts("UNet", n_in=n_in, n_hidden=n_hidden, n_out=n_out, depth=depth)
        check.spatial_axes("UNet", ndims)
        chosen, count = get_engine(engine), 2 * depth + 1
        ways = _ways(n_in, n_hidden, n_out, depth)
        seeds = iter([None] * count if seed is None else np.random.SeedSequence(seed).generate_state(count).tolist())
        down, up = (
            [ResidualBlock(**sizes, ndims=ndims, engine=chosen.name, seed=next(seeds)) for sizes in way] for way in ways
        )
        takes, gives = (ArraySpec(n, ndims, 2**depth) for n in (n_in, n_out))
        model: Any = UNetModel(down, up)
        self._adopt(chosen, model, self._described({"X": takes}, {"Y": gives}))

    @staticmethod
    def shapes(n_in: int, n_hidden: int, n_out: int, depth: int, ndims: int) -> Iterator[ParameterShape]:
        for name, way in zip(("down", "up"), _ways(n_in, n_hidden, n_out, depth), strict=True):
            for i, sizes in enumerate(way, 1):
                yield from within(f"{name}[{i}]", ResidualBlock.shapes(**sizes, k1=3, k2=3, ndims=ndims))


def _ways(n_in: int, n_hidden: int, n_out: int, depth: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The arguments of the blocks on the way down and up."""
    if depth > MOST_LEVELS:
        raise ValueError(f"UNet: depth must be at most {MOST_LEVELS}, got {depth}")
    widths = [n_hidden << i for i in range(depth + 1)]
    down: list[dict[str, Any]] = [
        {"n_in": before, "n_hidden": n, "n_out": n, "fan": True}
        for before, n in zip([n_in, *widths], widths, strict=False)
    ]
    up: list[dict[str, Any]] = [{"n_in": 3 * n, "n_hidden": n, "n_out": n, "fan": True} for n in widths[-2::-1]]
    up[-1] |= {"n_out": 2 * n_out, "fan": False}
    return down, up
