"""The invertible recurrent inference machine: its coupling layer and its loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..arrays.checks import checked
from ..arrays.spec import Space
from .base import arguments as check
from .base.density import NoDensity
from .base.flow import OneLane, OneLaneJacobian
from .base.layer import Invertible


class CouplingLayerIRIM(OneLane, OneLaneJacobian):
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
        self._create(engine, seed, Space(n_in, ndims, minimum=check.smallest_size(k1, p1)))


class NetworkLoop(NoDensity, Invertible):
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
    _no_density = "it solves an inverse problem"
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
        self._create(
            engine,
            seed,
            Space(1, ndims, minimum=minimum),
            Space(n_in - 1, ndims, minimum=minimum),
            only_numpy=check.deep_hint_on_a_line(n_in, ndims) if type == "HINT" else None,
        )

    def forward(self, eta: np.ndarray, s: np.ndarray, d: np.ndarray, A: Any) -> tuple[np.ndarray, np.ndarray]:
        """All turns of the loop.

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

    def _turn(self, mode: str, d: np.ndarray, A: Any, **arrays: np.ndarray) -> tuple:
        title = f"{self._title}.{mode}"
        images, states = self._data, self._latent
        inputs = tuple(
            checked(name, array, images if name.endswith("eta") else states, self._dtype, title)
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
        return self._call(mode, title, (*inputs, data, A))

    def _checked_data(self, title: str, d: Any, samples: int) -> np.ndarray:
        """`d` as one column for each sample."""
        if not isinstance(d, np.ndarray) or d.dtype != self._dtype:
            got = d.dtype if isinstance(d, np.ndarray) else type(d).__name__
            raise TypeError(f"{title}: d must be a NumPy array of {self._dtype}, got {got}")
        if d.ndim < 2 or d.size == 0 or d.shape[-1] != samples:
            raise ValueError(f"{title}: d must have {samples} samples on its last axis, got shape {d.shape}")
        return np.asfortranarray(d.reshape(-1, samples, order="F"))

    def _check_operator(self, title: str, A: Any, shape: tuple[int, int]) -> None:
        if isinstance(A, np.ndarray):
            if A.dtype != self._dtype:
                raise TypeError(f"{title}: A must be a matrix of {self._dtype}, got {A.dtype}")
        elif not (hasattr(A, "matvec") and hasattr(A, "rmatvec")):
            raise TypeError(
                f"{title}: A must be a matrix or have matvec and rmatvec, as a SciPy LinearOperator has; got "
                f"{type(A).__name__}"
            )
        if tuple(getattr(A, "shape", shape)) != shape:
            raise ValueError(
                f"{title}: A must have shape {shape}, from the pixels of a sample to its data, got {tuple(A.shape)}"
            )
