"""The invertible recurrent inference machine: its coupling layer and its loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from .base import arguments as check
from .base.flow import Flow
from .base.layer import Layer
from .base.shapes import ParameterShape, within
from .base.summary import Shape, Step
from .conv1x1 import Conv1x1
from .residual import ResidualBlock


class CouplingLayerIRIM(Flow):
    """The additive coupling layer of i-RIM, between a 1x1 convolution and its inverse; it keeps volumes.

    Args:
        n_in: number of channels, even.
        n_hidden: number of hidden channels of the block.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the block; see `ResidualBlock`. By default the block
            works on a fourth of the image size.
        ndims: number of spatial axes, 1 to 3.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `(nx, [ny, [nz,]] n_in, n_samples)`.
    Parameters: `C.v1`, `C.v2`, `C.v3`, and those of the block, `RB.W1` and so on.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/layers/invertible_layer_irim.jl"
    _keeps_volume = True

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        *,
        k1: int = 4,
        k2: int = 3,
        p1: int = 0,
        p2: int = 1,
        s1: int = 4,
        s2: int = 1,
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        check.even("CouplingLayerIRIM", n_in=n_in)
        check.counts("CouplingLayerIRIM", n_hidden=n_hidden)
        check.block("CouplingLayerIRIM", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("CouplingLayerIRIM", ndims)
        self._create(engine, seed, ArraySpec(n_in, ndims, minimum=check.smallest_size(k1, p1)))

    @staticmethod
    def shapes(n_in: int, n_hidden: int, **options: Any) -> Iterator[ParameterShape]:
        yield from within("C", Conv1x1.shapes(n_in))
        yield from within("RB", ResidualBlock.shapes(n_in // 2, n_hidden, **options))


class NetworkLoop(Layer):
    """The invertible recurrent inference machine (i-RIM): an unrolled loop that solves `A psi(eta) = d` for the image
    `eta`, with a state `s` beside it. Each turn adds the normalised gradient `A' (A psi(eta) - d)` to the first
    channel of `s`, then couples both.

    As upstream has it, `backward` leaves the derivative of `psi` out: its gradients are those of the objective only
    where that is one everywhere, as for the identity.

    Args:
        n_in: number of channels of `eta` (one) and `s` together: even, or a power of two for `type="HINT"`.
        n_hidden: number of hidden channels of the residual blocks.
        maxiter: number of turns.
        psi: link function, from an array of eta's shape to one of the same shape.
        k1, p1, s1, k2, p2, s2: kernels, paddings, strides of the blocks; see `ResidualBlock`. By default they work on
            a fourth of the image size.
        type: the coupling layers: `"additive"`, `CouplingLayerIRIM`, or `"HINT"`, `CouplingLayerHINT` with
            `permute="both"`.
        ndims: number of spatial axes, 1 to 3; 1 with `"HINT"` and more than four channels is for the NumPy engine
            only.
        engine, seed: engine, and seed of the initial weights.

    Arrays: `eta` `(nx, [ny, [nz,]] 1, n_samples)`, `s` `(nx, [ny, [nz,]] n_in - 1, n_samples)`, `d` with samples on its
    last axis.
    Parameters: those of the layers `L[i]`, and `AN[i].s`, `AN[i].b`.
    Raises: TypeError, ValueError for unfit arguments.
    Source: Putzky and Welling (2019), «Invert to Learn to Invert», https://arxiv.org/abs/1911.10914.
    """

    upstream = "src/networks/invertible_network_irim.jl"
    _not_invertible = "it solves an inverse problem"
    _no_gpu = "its link function and its operator are Python's, which run on the CPU"

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        maxiter: int,
        psi: Callable[[np.ndarray], np.ndarray],
        *,
        k1: int = 4,
        k2: int = 3,
        p1: int = 0,
        p2: int = 1,
        s1: int = 4,
        s2: int = 1,
        type: str = "additive",
        ndims: int = 2,
        engine: str | None = None,
        seed: int | None = None,
    ) -> None:
        if type not in ("additive", "HINT"):
            raise ValueError(f'NetworkLoop: type must be "additive" or "HINT", got {type!r}')
        if type == "HINT":
            check.power_of_two("NetworkLoop", n_in, 2)
        else:
            check.even("NetworkLoop", n_in=n_in)
        check.counts("NetworkLoop", n_hidden=n_hidden, maxiter=maxiter)
        check.block("NetworkLoop", k1, k2, p1, p2, s1, s2)
        check.spatial_axes("NetworkLoop", ndims)
        if not callable(psi):
            raise TypeError(f"NetworkLoop: psi must be a function such as lambda eta: eta, got {psi!r}")
        minimum = check.smallest_size(k1, p1)
        specs = {"eta": ArraySpec(1, ndims, minimum=minimum), "s": ArraySpec(n_in - 1, ndims, minimum=minimum)}
        self._open(engine, seed, self._described(specs, specs))

    @staticmethod
    def shapes(**_: Any) -> Iterator[ParameterShape]:
        raise ValueError("it holds a function, which no file does")

    def steps(self, shape: Shape) -> list[Step]:
        layer = {"additive": "CouplingLayerIRIM", "HINT": "CouplingLayerHINT"}[self._declared["type"]]
        both = (*shape[:-2], self._declared["n_in"], shape[-1])
        return [
            step
            for i in range(1, self._declared["maxiter"] + 1)
            for step in (Step("ActNorm", f"AN[{i}]", shape), Step(layer, f"L[{i}]", both))
        ]

    def input_shapes(self, shape: Shape) -> dict[str, Shape | None]:
        return {"eta": shape, "s": (*shape[:-2], self.signature.inputs["s"].channels, shape[-1])}

    def forward(self, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any) -> tuple[np.ndarray, np.ndarray]:
        """Run all turns of the loop.

        Args:
            eta: first guess of the image, shape `(nx, [ny, [nz,]] 1, n_samples)`, of the network's dtype.
            s: first state, shape `(nx, [ny, [nz,]] n_in - 1, n_samples)`.
            d: data, any shape with samples on its last axis.
            A: linear operator from the pixels of a sample, in Julia's order, to its data: a matrix, or anything with
                `matvec` and `rmatvec`, such as a SciPy `LinearOperator`.

        Returns:
            `(eta, s)`, of the same shapes.

        Raises:
            TypeError: an array is not of the network's dtype, or A is no operator.
            ValueError: a wrong shape, or ActNorm cannot be initialised. The network is unchanged.
        """
        return self._turn("forward", d, A, eta=eta, s=s)

    def inverse(self, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any) -> tuple[np.ndarray, np.ndarray]:
        """The arguments of `forward` from its results, with the same `d` and `A`.

        Raises:
            TypeError, ValueError: as `forward`; ValueError also where ActNorm was never initialised.
        """
        return self._turn("inverse", d, A, eta=eta, s=s)

    def backward(
        self, deta: np.ndarray, ds: np.ndarray, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Set every parameter's gradient, recomputing the states from the results by inversion.

        Args:
            deta, ds: gradients with respect to the results.
            eta, s: what `forward` returned.
            d, A: as given to `forward`.

        Returns:
            `(deta, ds, eta, s)`: the gradients with respect to the arguments, and the arguments recomputed.

        Raises:
            TypeError, ValueError: as `inverse`.
        """
        return self._turn("backward", d, A, deta=deta, ds=ds, eta=eta, s=s)

    def _turn(self, method: str, d: np.ndarray, A: Any, **arrays: np.ndarray) -> tuple:
        title, specs = f"{self.title}.{method}", self.signature.inputs
        inputs = tuple(
            self._accepted(name, array, specs["eta" if name.endswith("eta") else "s"], title)
            for name, array in arrays.items()
        )
        first = inputs[0]
        for name, array in zip(arrays, inputs, strict=True):
            if array.shape[:-2] != first.shape[:-2] or array.shape[-1] != first.shape[-1]:
                raise ValueError(
                    f"{title}: {name} must agree with {next(iter(arrays))} in all axes but the channels, got shapes "
                    f"{array.shape} and {first.shape}"
                )
        pixels, samples = int(np.prod(first.shape[:-2])), first.shape[-1]
        data = self._checked_data(title, d, samples)
        self._check_operator(title, A, (len(data), pixels))
        return self.propagate(method, title, (*inputs, data, A))

    def _checked_data(self, title: str, d: Any, samples: int) -> np.ndarray:
        """Arrange `d` as one column for each sample."""
        if not isinstance(d, np.ndarray) or d.dtype != self.dtype:
            got = d.dtype if isinstance(d, np.ndarray) else type(d).__name__
            raise TypeError(f"{title}: d must be a NumPy array of {self.dtype}, got {got}")
        if d.ndim < 2 or d.size == 0 or d.shape[-1] != samples:
            raise ValueError(f"{title}: d must have {samples} samples on its last axis, got shape {d.shape}")
        return np.asfortranarray(d.reshape(-1, samples, order="F"))

    def _check_operator(self, title: str, A: Any, shape: tuple[int, int]) -> None:
        if isinstance(A, np.ndarray):
            if A.dtype != self.dtype:
                raise TypeError(f"{title}: A must be a matrix of {self.dtype}, got {A.dtype}")
        elif not (hasattr(A, "matvec") and hasattr(A, "rmatvec")):
            raise TypeError(
                f"{title}: A must be a matrix or have matvec and rmatvec, as a SciPy LinearOperator has; got "
                f"{type(A).__name__}"
            )
        if tuple(getattr(A, "shape", shape)) != shape:
            raise ValueError(
                f"{title}: A must have shape {shape}, from the pixels of a sample to its data, got {tuple(A.shape)}"
            )
