"""What every layer and network has in common: its constructor's arguments, its engine, checks, parameters, state."""

from __future__ import annotations

import inspect
import threading
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar

import numpy as np

from ...arrays.cuda_interface import to_numpy
from ...arrays.latents import Array
from ...arrays.spec import DTYPES, ArraySpec
from ...engines import get_engine
from ...engines.protocol import Engine, Model
from ...functions.squeezers import WaveletLayer
from .anchors import Anchored
from .declaration import ENGINE_ARGUMENTS, constructor_of, recording, takes
from .initialisation import check_initialised_from
from .outline import Outlined
from .parameters import Parameter, load_state
from .signature import Signature

L = TypeVar("L", bound="Layer")

KINDS: dict[str, type[Layer]] = {}
"""Every declared layer and network by its name, those of users included."""

ON_THE_CPU = "upstream squeezes it by Wavelets.jl, which computes on the CPU; leave it there"


class Layer(Anchored, Outlined):
    """A layer or network of InvertibleNetworks.jl on one engine. It need not be invertible.

    A subclass declares its constructor by an ordinary `__init__`, which ends with `self._create(...)`. One that names
    upstream's source file in `upstream` is a kind of its own, for which each engine has its arithmetic; the arguments
    of its constructor (all but `engine` and `seed`) go to the engine as they are. Any other subclass is computed as the
    kind that it inherits from.

    Attributes:
        arguments: what the network was made with, but for `engine` and `seed`.
        engine: the name of its engine.
        signature: what it takes, what it gives, and what it can do.
        model: the network in the engine's memory.

    Threads may share a network on the NumPy engine. Of several first calls of `forward` one sets ActNorm. The methods
    that keep nothing (`inverse`, `sample`, `log_prob`, the Jacobian's) may run at the same time; `backward` sets the
    gradients that all threads see. A network whose latent is a flat vector keeps the image size of its last `forward`,
    so threads that share one must give it images of one size.
    """

    arguments: dict[str, Any]
    engine: str
    signature: Signature
    model: Model
    _declared: dict[str, Any]
    kind: ClassVar[str]
    """The name that the engines know it by."""
    upstream: ClassVar[str]
    """Upstream's source file."""
    _keeps_volume: ClassVar[bool] = False
    _not_invertible: ClassVar[str | None] = None
    """Why it has no inverse, and so no density, where it has none."""
    _no_gpu: ClassVar[str | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "upstream" in vars(cls):
            cls.kind = cls.__name__
        if "__init__" in vars(cls):
            cls.__init__ = recording(cls.__init__, cls)  # type: ignore[method-assign]
        if hasattr(cls, "upstream") and not cls.__name__.startswith("_"):
            KINDS[cls.__name__] = cls

    @classmethod
    def constructor(cls) -> inspect.Signature:
        """The signature of the constructor, without annotations."""
        return constructor_of(cls)

    @classmethod
    def make(cls, arguments: Mapping[str, Any], engine: str | None, seed: int | None = None) -> Layer:
        """A new network from its `arguments`; one that is made of networks has its engine and weights from them."""
        given = {"engine": engine, "seed": seed}
        return cls(**arguments, **{name: given[name] for name in takes(cls) if name in given})

    def _open(self, engine: str | None, seed: int | None, signature: Signature) -> None:
        """Make the model on an engine."""
        if seed is not None and not (isinstance(seed, (int, np.integer)) and seed >= 0):
            raise ValueError(f"{self.title}: seed must be a non-negative integer or None, got {seed!r}")
        chosen = get_engine(engine)
        reason = chosen.supports(self.kind, self._declared)
        if reason:
            raise ValueError(f"{self.title}: {reason}")
        positional, keywords = self._positional_and_keywords()
        self._adopt(chosen, chosen.create(self.kind, positional, keywords, seed), signature)

    def _adopt(self, engine: Engine, model: Model, signature: Signature) -> None:
        self.engine, self.model, self.signature = engine.name, model, signature
        self._spatial: tuple[int, ...] | None = None
        self._latents: list[weakref.ref[np.ndarray]] = []
        self._parameters = [Parameter(name, stored, self, i) for i, (name, stored) in enumerate(model.parameters)]
        self._lazy = [p for p in self._parameters if p.lazy]
        self._uninitialised = bool(self._lazy)
        self._first_forward = threading.RLock()

    def _described(
        self,
        inputs: Mapping[str, ArraySpec],
        latents: Mapping[str, ArraySpec],
        *,
        logdet: bool | None = None,
        **more: Any,
    ) -> Signature:
        """The signature, with what the class and the constructor's arguments say of it."""
        tracked = self._declared.get("logdet", False) if logdet is None else logdet
        no_logdet = self._not_invertible
        if no_logdet is None and not (tracked or self._keeps_volume):
            no_logdet = "it keeps no log-determinant; make it with logdet=True"
        data, latent = next(iter(inputs.values())), next(iter(latents.values()))
        wavelets = ON_THE_CPU if isinstance(self._declared.get("squeezer"), WaveletLayer) else None
        return Signature(
            dict(inputs),
            dict(latents),
            logdet=tracked,
            keeps_volume=self._keeps_volume,
            invertible=self._not_invertible is None,
            **{
                "images": latent if data.vector else data,
                "no_logdet": no_logdet,
                "no_gpu": self._no_gpu or wavelets,
            }
            | more,
        )

    def _positional_and_keywords(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as upstream's constructor takes them: what is keyword-only here is a keyword there."""
        kinds = KINDS[self.kind].constructor().parameters
        keyword = {name for name in self._declared if kinds[name].kind is inspect.Parameter.KEYWORD_ONLY}
        positional = tuple(value for name, value in self._declared.items() if name not in keyword)
        return positional, {name: value for name, value in self._declared.items() if name in keyword}

    # Propagation

    def _run(self, method: str, specs: tuple[ArraySpec, ...], **arrays: Any) -> Any:
        title = f"{self.title}.{method}"
        results = self.propagate(method, title, self.checked(title, specs, arrays))
        return results[0] if len(results) == 1 else results

    def checked(self, title: str, specs: tuple[ArraySpec, ...], arrays: Mapping[str, Any]) -> tuple[Array, ...]:
        """The arrays, by their names, as the engine takes them.

        Raises:
            TypeError, ValueError: one is not as its specification says, or they do not belong together; `title` and
                its name are in the message.
        """
        for (name, array), spec in zip(arrays.items(), specs, strict=True):
            if any(spec is latent for latent in self.signature.latents.values()):
                self._check_whole(title, name, array)
        inputs = tuple(
            self._accepted(name, array, spec, title) for (name, array), spec in zip(arrays.items(), specs, strict=True)
        )
        self._check_together(title, tuple(arrays), specs, inputs)
        return inputs

    def _accepted(self, name: str, array: Any, spec: ArraySpec, title: str) -> Array:
        return self.model.accept(name, array, spec, title)

    def place(self, array: Array) -> Array:
        """An array where the network is: on the GPU, or in NumPy's memory."""
        return self.model.place(array)

    def propagate(self, method: str, title: str, inputs: tuple[Any, ...], *, keeps: bool = False) -> tuple[Any, ...]:
        """Run a method of the model on checked arrays; `title` is for messages, and `keeps` for `forward_by_sample`."""
        function = getattr(self.model, method)
        if keeps:
            function = partial(function, keeps=True)
        if self._uninitialised:
            with self._first_forward:  # Of two threads, one sets ActNorm by its batch, and the other finds it set.
                self.parameters_changed()
                first = self._uninitialised
                results = self._initialise(method, function, title, inputs) if first else function(*inputs)
        else:
            results = function(*inputs)
        if method in ("forward", "forward_by_sample"):
            self._spatial = inputs[0].shape[:-2]
            if self.signature.splits:
                latents = results[: len(self.signature.latents)]
                self._latents = [weakref.ref(Z) for Z in latents if isinstance(Z, np.ndarray)]
        elif method == "backward":
            self.warn_of_drift(title)
        return results

    def _check_whole(self, title: str, name: str, array: Any) -> None:
        """Raise ValueError where this is a part of the last latent, of which no part is whole samples."""
        latents = [Z for Z in (latent() for latent in self._latents) if Z is not None]
        if isinstance(array, np.ndarray) and any(
            array.size < Z.size and np.may_share_memory(array, Z) for Z in latents
        ):
            raise ValueError(
                f"{title}: {name} is a part of the latent that forward gave, which is not whole samples: where scales "
                "are split, it holds part after part of all samples. Give all of it, and take samples of the result"
            )

    def _check_together(
        self, title: str, names: tuple[str, ...], specs: tuple[ArraySpec, ...], inputs: tuple[Array, ...]
    ) -> None:
        first = inputs[0]
        for name, spec, array in zip(names[1:], specs[1:], inputs[1:], strict=True):
            same = array.shape == first.shape if spec is specs[0] else array.shape[-1] == first.shape[-1]
            if not same:
                raise ValueError(
                    f"{title}: {names[0]} and {name} must belong to the same batch, got shapes {first.shape} and "
                    f"{array.shape}"
                )
        if specs[0].vector:
            self.check_vector(title, names[0], first.shape[0], specs[0])

    def check_vector(self, title: str, name: str, size: int, spec: ArraySpec) -> None:
        """Raise ValueError where a flat vector of this size does not hold whole samples."""
        spatial = self.model.spatial
        if spatial is None:
            raise ValueError(
                f"{title}: {name} is a flat vector, and the image size it belongs to is not known yet; call "
                "forward first, or set spatial, such as G.spatial = (64, 64)"
            )
        of_sample = int(np.prod(spatial)) * spec.channels
        if size % of_sample:
            raise ValueError(
                f"{title}: {name} must have a multiple of {of_sample} elements, the size of a sample of spatial size "
                f"{spatial}, got {size}"
            )

    def _initialise(
        self, method: str, function: Callable[..., tuple[Any, ...]], title: str, inputs: tuple[Any, ...]
    ) -> tuple[Any, ...]:
        """Run the first `forward`, which sets ActNorm; leave the network as it was if that fails."""
        if method != "forward":
            self.check_initialised(title)
        pending = [p for p in self._lazy if p.data is None]
        spatial = self.model.spatial if self.signature.latent.vector else None
        try:
            results = function(*inputs)
            check_initialised_from(title, pending, self.signature, inputs)
        except BaseException:
            for p in pending:
                p.reset()
            if self.signature.latent.vector:
                self.model.spatial = spatial
            self.parameters_changed()
            raise
        self.parameters_changed()
        return results

    def check_initialised(self, title: str) -> None:
        """Raise ValueError where an ActNorm was never set."""
        pending = next((p for p in self._lazy if p.data is None), None) if self._uninitialised else None
        if pending:
            raise ValueError(
                f"{title}: {pending.name} is not initialised; call forward on a first batch, or load weights, before"
            )

    @property
    def initialised(self) -> bool:
        """Whether every ActNorm has its scale and bias, from a first batch or from weights."""
        self.parameters_changed()
        return not self._uninitialised

    # Parameters and state

    @property
    def dtype(self) -> np.dtype:
        """float32 until `astype` changes it."""
        return self.model.dtype

    def astype(self: L, dtype: Any) -> L:
        """Convert all parameters and gradients, in place, and give the network back.

        Views taken before (`p.data`) no longer belong to the network.

        Raises:
            TypeError: the type is neither float32 nor float64.
        """
        dtype = np.dtype(dtype)
        if dtype not in DTYPES:
            raise TypeError(f"{self.title}: dtype must be float32 or float64, got {dtype}")
        self.model.astype(dtype)
        return self

    @property
    def on_gpu(self) -> bool:
        """Whether the network is on the GPU: then its parameters are, and the arrays that it takes and returns."""
        return self.model.on_gpu

    def gpu(self: L) -> L:
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
            if self.signature.no_gpu:
                raise ValueError(f"{self.title}.gpu: {self.signature.no_gpu}")
            self.model.move(True, f"{self.title}.gpu")
        return self

    def cpu(self: L) -> L:
        """Move the network back from the GPU, in place, and give it back."""
        if self.on_gpu:
            self.model.move(False, f"{self.title}.cpu")
        return self

    @property
    def julia(self) -> Any:
        """The network as juliacall's object, for whatever is not proxied here; on the Julia engine only.

        Raises:
            TypeError: the network is on another engine.
        """
        if not hasattr(self.model, "julia"):
            raise TypeError(f"{self.title}: only a single network on the Julia engine has a Julia object, got {self!r}")
        return self.model.julia

    @property
    def spatial(self) -> tuple[int, ...] | None:
        """Image size `(nx, ny)` of the last `forward`, which `sample` takes, and which `inverse` and `backward` need
        where the latent is a flat vector (`split_scales=True`); set it for a network that has not been forward yet.

        Raises:
            ValueError: the size set does not belong to this network.
        """
        return self.model.spatial if self.signature.flat else self._spatial

    @spatial.setter
    def spatial(self, value: tuple[int, ...]) -> None:
        images = self.signature.images
        if not images.holds((*value, images.channels, 1)):
            raise ValueError(f"{self.title}: spatial must belong to an input of {images.describe()}, got {value}")
        if self.signature.flat:
            self.model.spatial = tuple(value)
        else:
            self._spatial = tuple(value)

    def state_dict(self) -> dict[str, np.ndarray]:
        """Copies of the parameters by name; those that ActNorm has not set yet are left out."""
        return {p.name: to_numpy(p.data).copy(order="F") for p in self._parameters if p.data is not None}

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        """Copy parameters in by name, from either engine.

        Raises:
            TypeError: a value is not an array of floats.
            ValueError: names or shapes differ. The network is then unchanged.
        """
        load_state(self, self._parameters, state)

    def parameters_changed(self) -> None:
        """Look again which parameters ActNorm has set: to be called where one was set past the network."""
        self._uninitialised = any(p.data is None for p in self._lazy)

    # Python

    @property
    def title(self) -> str:
        """What messages call it."""
        return type(self).__name__

    def __repr__(self) -> str:
        """Evaluates back to a new network with the same arguments; those left at their defaults are not shown."""
        shown = []
        for name, parameter in self.constructor().parameters.items():
            if name not in ENGINE_ARGUMENTS:
                value = self.arguments[name]
                if parameter.default is inspect.Parameter.empty or value != parameter.default:
                    shown.append(f"{name}={value!r}")
        return f'{type(self).__name__}({", ".join(shown)}, engine="{self.engine}")'

    def __reduce__(self) -> tuple[Any, ...]:
        state = self.state_dict()
        return _rebuild, (type(self), self.arguments, self.engine, self.dtype.name, state, self.spatial, self.anchors)


def _rebuild(
    cls: type[Layer],
    arguments: dict[str, Any],
    engine: str,
    dtype: str,
    state: dict[str, np.ndarray],
    spatial: tuple[int, ...] | None,
    anchors: int | str | None = "auto",
) -> Layer:
    network = cls.make(arguments, engine).astype(dtype)
    network.load_state_dict(state)
    if spatial is not None:
        network.spatial = spatial
    if anchors != network.anchors:
        network.anchors = anchors
    return network
