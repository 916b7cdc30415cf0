"""What every network and layer has in common: its constructor's arguments, its engine, checks, parameters, state."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ...arrays.checks import checked, checked_on_gpu
from ...arrays.spec import DTYPES, Space
from ...engines.choice import get_engine
from ...engines.julia.device_array import DeviceArray
from ...engines.julia.gpu import ON_THE_CPU, check_movable, cpu, gpu
from ...engines.protocol import Handle
from ...functions.squeezers import WaveletLayer
from .parameters import Parameter, load_state

if TYPE_CHECKING:
    from .summary import Summary


_ENGINE_ARGUMENTS = ("engine", "seed")


class Invertible:
    """A network or layer of InvertibleNetworks.jl on one engine.

    A subclass declares its constructor by an ordinary `__init__`, whose arguments (all but `engine` and `seed`) go
    to the engine as they are, and ends it with `self._create(...)`.
    """

    arguments: dict[str, Any]
    upstream: ClassVar[str]
    """Upstream's source file."""
    _keeps_volume: ClassVar[bool] = False
    """Whether the log-determinant is zero, whatever `forward` returns for it."""
    _lanes: ClassVar[int] = 1
    """How many arrays make a sample."""
    _splits: int = 0
    """How many times half of a sample's elements leave for the latent, which then holds part after part."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Invertible:
        self = super().__new__(cls)
        signature = cls._signature()
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}; expected {cls.__name__}{signature}") from None
        bound.apply_defaults()
        self.arguments = {k: v for k, v in bound.arguments.items() if k not in _ENGINE_ARGUMENTS}
        return self

    @classmethod
    @functools.cache
    def _signature(cls) -> inspect.Signature:
        signature = inspect.signature(cls.__init__)
        own = list(signature.parameters.values())[1:]
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in own]
        return inspect.Signature(bare)

    def _create(
        self,
        engine: str | None,
        seed: int | None,
        data: Space,
        latent: Space | None = None,
        *,
        only_numpy: str | None = None,
    ) -> None:
        """Make the handle. `only_numpy` says for which arguments upstream fails, where these are among them."""
        if seed is not None and not (isinstance(seed, int) and seed >= 0):
            raise ValueError(f"{self._title}: seed must be a non-negative integer or None, got {seed!r}")
        chosen = get_engine(engine)
        if only_numpy and chosen.name == "julia":
            raise ValueError(f'{self._title}: InvertibleNetworks.jl 2.3.1 cannot do {only_numpy}; write engine="numpy"')
        self._adopt(
            chosen.name, chosen.create(type(self).__name__, *self._positional_and_keywords(), seed), data, latent
        )

    def _adopt(self, engine: str, handle: Handle, data: Space, latent: Space | None = None) -> None:
        self.engine: str = engine
        self._data, self._latent = data, latent or data
        self._handle = handle
        self._spatial: tuple[int, ...] | None = None
        self._dtype = np.dtype(self._handle.dtype)
        self._parameters = [Parameter(name, slot, self, i) for i, (name, slot) in enumerate(self._handle.parameters)]
        self._lazy = [p for p in self._parameters if p.data is None]
        self._lazy_names = {p.name for p in self._lazy}
        self._uninitialised = bool(self._lazy)

    def _positional_and_keywords(self) -> tuple[tuple, dict[str, Any]]:
        """The arguments as upstream's constructor takes them: what is keyword-only here is a keyword there."""
        kinds = self._signature().parameters
        keyword = {name for name in self.arguments if kinds[name].kind is inspect.Parameter.KEYWORD_ONLY}
        positional = tuple(value for name, value in self.arguments.items() if name not in keyword)
        return positional, {name: self.arguments[name] for name in self.arguments if name in keyword}

    @classmethod
    def _make(cls, arguments: dict[str, Any], engine: str | None) -> Invertible:
        """A new network from `arguments`; one that is made of networks has its engine from them."""
        keywords = {"engine": engine} if "engine" in cls._signature().parameters else {}
        return cls(**arguments, **keywords)

    # Propagation

    def _run(self, mode: str, spaces: tuple[Space, ...], **arrays: np.ndarray) -> Any:
        title = f"{self._title}.{mode}"
        results = self._call(mode, title, self._checked(title, spaces, arrays))
        return results[0] if len(results) == 1 else results

    def _checked(self, title: str, spaces: tuple[Space, ...], arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        inputs = tuple(
            self._checked_one(name, array, space, title)
            for (name, array), space in zip(arrays.items(), spaces, strict=True)
        )
        self._check_together(title, tuple(arrays), spaces, inputs)
        return inputs

    def _checked_one(self, name: str, array: object, space: Space, title: str) -> np.ndarray | DeviceArray:
        check = checked_on_gpu if self._handle.on_gpu else checked
        return check(name, array, space, self._dtype, title)

    def _placed(self, array: np.ndarray | DeviceArray) -> np.ndarray | DeviceArray:
        """An array where the network is."""
        return gpu(array) if self._handle.on_gpu else array

    def _call(self, mode: str, title: str, inputs: tuple) -> tuple:
        if self._uninitialised:
            self._parameters_changed()
        if self._uninitialised:
            results = self._initialise(mode, title, inputs)
        else:
            results = self._handle.call(mode, inputs)
        if mode in ("forward", "forward_by_sample"):
            self._spatial = inputs[0].shape[:-2]
        return results

    def _forward_by_sample(self, title: str, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """The arrays of `forward`, and the log-determinant of each sample, shape `(n_samples,)`, float64."""
        if not self._keeps_volume:
            return self._call("forward_by_sample", title, inputs)
        outputs = [result for result in self._call("forward", title, inputs) if not isinstance(result, float)]
        return *outputs, self._placed(np.zeros(inputs[0].shape[-1]))

    @property
    def _no_density(self) -> str | None:
        """Why `log_prob` cannot be computed, where it cannot."""
        if self._keeps_volume or self.arguments.get("logdet", True):
            return None
        return "it keeps no log-determinant; make it with logdet=True"

    def _check_together(self, title: str, names, spaces, inputs) -> None:
        first = inputs[0]
        for name, space, array in zip(names[1:], spaces[1:], inputs[1:], strict=True):
            same = array.shape == first.shape if space is spaces[0] else array.shape[-1] == first.shape[-1]
            if not same:
                raise ValueError(
                    f"{title}: {names[0]} and {name} must belong to the same batch, got shapes {first.shape} and "
                    f"{array.shape}"
                )
        if spaces[0].vector:
            self._check_vector(title, names[0], first, spaces[0])

    def _check_vector(self, title: str, name: str, array: np.ndarray, space: Space) -> None:
        spatial = self._handle.spatial
        if spatial is None:
            raise ValueError(
                f"{title}: {name} is a flat vector, and the image size it belongs to is not known yet; call "
                "forward first, or set spatial, such as G.spatial = (64, 64)"
            )
        size = int(np.prod(spatial)) * space.channels
        if array.size % size:
            raise ValueError(
                f"{title}: {name} must have a multiple of {size} elements, the size of a sample of spatial size "
                f"{spatial}, got {array.size}"
            )

    def _initialise(self, mode: str, title: str, inputs: tuple[np.ndarray, ...]) -> tuple:
        """Run the first `forward`, which sets ActNorm; leave the network as it was if that fails."""
        if mode not in self._initialising_modes:
            self._check_initialised(title)
        pending = [p for p in self._lazy if p.data is None]
        spatial = self._handle.spatial if self._latent.vector else None
        try:
            results = self._handle.call(mode, inputs)
            for p in pending:
                if p.data is not None and not _usable(p).all():
                    channels = np.flatnonzero(~_usable(p)) + 1
                    raise ValueError(
                        f"{title}: ActNorm's {p.name} cannot be initialised from this batch: channel(s) "
                        f"{', '.join(map(str, channels))} have zero variance or values that are not finite; expected "
                        "finite input that varies in every channel"
                    )
        except BaseException:
            for p in pending:
                p._slot.data = None
            if self._latent.vector:
                self._handle.spatial = spatial
            raise
        self._parameters_changed()
        return results

    def _check_initialised(self, title: str) -> None:
        pending = next((p for p in self._lazy if p.data is None), None) if self._uninitialised else None
        if pending:
            raise ValueError(
                f"{title}: {pending.name} is not initialised; call {self._initialising_modes[0]} on a first batch, "
                "or load weights, before"
            )

    _initialising_modes: ClassVar[tuple[str, ...]] = ("forward",)

    # Parameters and state

    @property
    def dtype(self) -> np.dtype:
        """float32 until `astype` changes it."""
        return self._dtype

    def astype(self, dtype: Any) -> Invertible:
        """Convert all parameters and gradients, in place, and give the network back.

        Views taken before (`p.data`) no longer belong to the network.

        Raises:
            TypeError: the type is neither float32 nor float64.
        """
        dtype = np.dtype(dtype)
        if dtype not in DTYPES:
            raise TypeError(f"{self._title}: dtype must be float32 or float64, got {dtype}")
        if dtype != self._dtype:
            self._handle.astype(dtype)
            self._dtype = dtype
        return self

    @property
    def on_gpu(self) -> bool:
        """Whether the network is on the GPU: then its parameters are, and the arrays that it takes and returns."""
        return self._handle.on_gpu

    @property
    def _no_gpu(self) -> str | None:
        """Why it cannot be on a GPU, where it or a part of it cannot."""
        if isinstance(self.arguments.get("squeezer"), WaveletLayer):
            return ON_THE_CPU
        return next((part._no_gpu for part in getattr(self._handle, "parts", ()) if part._no_gpu), None)

    def gpu(self) -> Invertible:
        """Move the network to the GPU, in place, and give it back; on the Julia engine only.

        `forward` and the other methods then take and return arrays on the GPU (`DeviceArray`; CuPy arrays and PyTorch
        tensors go in as they are), and `p.data` and `p.grad` are such arrays. Views taken before no longer belong to
        the network. `fit` moves the batches; `state_dict` and what is saved stay in NumPy's memory.

        Written against the source of CUDA.jl 5.9, not yet run on a GPU.

        Raises:
            RuntimeError: there is no GPU that CUDA.jl can use.
            ValueError: the network is on the NumPy engine, or calls Python functions.
        """
        if not self.on_gpu:
            check_movable(self)
            self._handle.move(True)
        return self

    def cpu(self) -> Invertible:
        """Move the network back from the GPU, in place, and give it back."""
        if self.on_gpu:
            self._handle.move(False)
        return self

    @property
    def julia(self) -> Any:
        """The network as juliacall's object, for whatever is not proxied here; on the Julia engine only.

        Raises:
            TypeError: the network is on another engine.
        """
        if not hasattr(self._handle, "julia"):
            raise TypeError(
                f"{self._title}: only a single network on the Julia engine has a Julia object, got {self!r}"
            )
        return self._handle.julia

    @property
    def spatial(self) -> tuple[int, ...] | None:
        """Image size `(nx, ny)` of the last `forward`, which `sample` takes, and which `inverse` and `backward` need
        where the latent is a flat vector (`split_scales=True`); set it for a network that has not been forward yet.

        Raises:
            ValueError: the size set does not belong to this network.
        """
        return self._handle.spatial if self._is_flat else self._spatial

    @spatial.setter
    def spatial(self, value: tuple[int, ...]) -> None:
        image = self._image
        if not image.holds((*value, image.channels, 1)):
            raise ValueError(f"{self._title}: spatial must belong to an input of {image.describe()}, got {value}")
        if self._is_flat:
            self._handle.spatial = tuple(value)
        else:
            self._spatial = tuple(value)

    @property
    def _is_flat(self) -> bool:
        return self._data.vector or self._latent.vector

    @property
    def _image(self) -> Space:
        """The images that a flat vector stands for."""
        return self._latent if self._data.vector else self._data

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the parameters by name; those that ActNorm has not set yet are left out."""
        return {p.name: cpu(p.data).copy(order="F") for p in self._parameters if p.data is not None}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        """Copy parameters in by name, from either engine.

        Raises:
            TypeError: a value is not an array of floats.
            ValueError: names or shapes differ. The network is then unchanged.
        """
        load_state(self, state)

    def _parameters_changed(self) -> None:
        self._uninitialised = any(p.data is None for p in self._lazy)

    # Python

    def summary(self, input_shape: tuple[int, ...]) -> Summary:
        """The layers with the shapes of what they give, their parameters and their memory, as a table when printed.

        The engine computes nothing, and the network stays as it is: an ActNorm that was never used too.

        Args:
            input_shape: shape of the first argument of `forward`, samples included, since memory grows with them.

        Returns:
            A `pyinvnets.summary.Summary`.

        Raises:
            TypeError: it is no tuple of integers.
            ValueError: it is no shape that `forward` takes.

        >>> import pyinvnets as inv
        >>> inv.NetworkGlow(1, 8, 2, 1, engine="numpy").summary((8, 8, 1, 16))
        NetworkGlow(n_in=1, n_hidden=8, L=2, K=1, engine="numpy"), float32
        <BLANKLINE>
        layer              name     output shape   parameters   memory
        input              X        (8, 8, 1, 16)
        ShuffleLayer                (4, 4, 4, 16)
        ActNorm            AN[1,1]  (4, 4, 4, 16)           8     32 B
        CouplingLayerGlow  CL[1,1]  (4, 4, 4, 16)         524  2.0 KiB
        split                       (4, 4, 2, 16)
        ShuffleLayer                (2, 2, 8, 16)
        ActNorm            AN[2,1]  (2, 2, 8, 16)          16     64 B
        CouplingLayerGlow  CL[2,1]  (2, 2, 8, 16)         968  3.8 KiB
        join                        (1024,)
        <BLANKLINE>
        total                                           1,516  5.9 KiB
        <BLANKLINE>
        parameters with gradients: 11.8 KiB
        states in forward and backward, at any depth: 16.0 KiB
        """
        from .summary import summarise

        return summarise(self, input_shape)

    @property
    def _title(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        """Evaluates back to a new network with the same arguments; those left at their defaults are not shown."""
        shown = []
        for name, parameter in self._signature().parameters.items():
            if name not in _ENGINE_ARGUMENTS:
                value = self.arguments[name]
                if parameter.default is inspect.Parameter.empty or value != parameter.default:
                    shown.append(f"{name}={value!r}")
        return f'{type(self).__name__}({", ".join(shown)}, engine="{self.engine}")'

    def __reduce__(self) -> tuple:
        return _rebuild, (type(self), self.arguments, self.engine, self._dtype.name, self.state_dict(), self.spatial)


def _usable(scale_or_bias: Parameter) -> np.ndarray:
    """Where ActNorm's parameter can be used: a scale of zero, which a reversed layer may get, cannot."""
    data = cpu(scale_or_bias.data)
    finite = np.isfinite(data)
    return finite & (data != 0) if scale_or_bias.name.endswith("s") else finite


def _rebuild(cls, arguments, engine, dtype, state, spatial) -> Invertible:
    network = cls._make(arguments, engine).astype(dtype)
    network.load_state_dict(state)
    if spatial is not None:
        network.spatial = spatial
    return network
