"""Weights on disk: a safetensors file with named parameters, and the constructor in its metadata. No pickle."""

from __future__ import annotations

import contextlib
import inspect
import json
import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np

from .._version import __version__
from ..engines.choice import get_engine
from ..functions import VALUES, ActivationFunction, Squeezer
from ..networks.base.declaration import ENGINE_ARGUMENTS
from ..networks.base.layer import KINDS, Layer
from ..networks.base.shapes import parameter_shapes
from ..networks.base.wrapper import WRAPPERS, Wrapper, network_of
from .files import replaced

N = TypeVar("N", bound="Layer | Wrapper")

_FORMAT = "pyinvnets-1"

_CODES = {"float32": "F32", "float64": "F64", "int64": "I64"}
"""What dtypes are called in a file; a network has one of the first two."""

_MOST_ABSENT = 2**20
"""How many numbers may belong to an ActNorm that was never used, of which a file holds nothing, beside as many as the
file holds."""

_LONGEST = 500
"""Characters of a reason, which may quote a file's own nonsense."""

_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What reading a file raises where its content is not what it should be."""


def save(network: Layer | Wrapper, path: str | os.PathLike) -> None:
    """Write the parameters by name, in Julia's shapes, with the constructor, to a safetensors file.

    The file is written beside its place and moved there, so that a crash leaves the old one whole. Permissions of an
    old file stay, and of a symbolic link the file that it leads to is replaced. A `VectorFlow` is written as one, and
    `load` gives it back.

    Raises:
        TypeError: it is no network, or the network holds a Python function.
        FileNotFoundError: there is no folder for it.
        OSError: it cannot be written, or the disk is full.
    """
    wrapper = {}
    if isinstance(network, Wrapper):
        wrapper = {"wrapper": type(network).__name__, "form": json.dumps(network.form())}
    network = network_of(network)
    if not isinstance(network, Layer):
        raise TypeError(f"save: expected a network, layer or VectorFlow, got {network!r}")
    metadata = wrapper | {
        "format": _FORMAT,
        "constructor": json.dumps(_encode(network)),
        "dtype": network.dtype.name,
        "spatial": json.dumps(network.spatial),
        "versions": versions(),
    }
    write(path, network.state_dict(), metadata)


def write(path: str | os.PathLike, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside its place and move it there.

    It is written here, for safetensors would copy all arrays, hide what the system says of a full disk, and leave a
    file of an unknown name where the process is killed.

    Raises:
        FileNotFoundError, OSError: as `save`.

    Source: the format, https://github.com/huggingface/safetensors#format.
    """
    # The larger types come first, so that all are aligned.
    named = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, array in named:
        start, end = end, end + array.nbytes
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": array.shape, "data_offsets": (start, end)}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with replaced(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in named:
            file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))


@overload
def load(path: str | os.PathLike, *, engine: str | None = None) -> Layer | Wrapper: ...


@overload
def load(path: str | os.PathLike, *, kind: type[N], engine: str | None = None) -> N: ...


def load(path: str | os.PathLike, *, kind: type[Any] | None = None, engine: str | None = None) -> Layer | Wrapper:
    """The network of a file that `save` wrote, or the `VectorFlow`, on either engine.

    Nothing but declared networks, activations and squeezers is called, whatever the file names, and none of the
    package's own networks is built before the file is seen to hold its parameters.

    Args:
        path: the file.
        kind: the class that is expected, such as `NetworkGlow`; a type checker then knows the network by it.
        engine: the name of the engine, as for a constructor.

    Raises:
        FileNotFoundError: there is no such file.
        TypeError: the network in the file is of another kind.
        ValueError: it is truncated, not a safetensors file, not written by `save`, or its parameters are not those of
            its network.
    """
    with _opened(path, _FORMAT, "pyinvnets.save") as (metadata, file):
        with damage_named(path):
            constructor, spatial = json.loads(metadata["constructor"]), json.loads(metadata["spatial"])
            network = _described(constructor)
            _check_parameters(network, metadata["dtype"], file)
            _check_spatial(spatial)
            _check_wrapper(metadata.get("wrapper"))
        get_engine(engine)  # what keeps it from starting is no damage of the file
        with damage_named(path):
            built = _built(network, engine).astype(metadata["dtype"])
            built.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
            if spatial is not None:
                built.spatial = tuple(spatial)
            wrapper = metadata.get("wrapper")
            if wrapper is not None:
                built = WRAPPERS[wrapper].formed(built, json.loads(metadata.get("form", "{}")))
    if kind is not None and not isinstance(built, kind):
        raise TypeError(f"{path} holds {built!r}; expected kind={kind.__name__}")
    return built


def read(path: str | os.PathLike, form: str, writer: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and arrays of a file with `form` as its format, which `writer` wrote.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    with _opened(path, form, writer) as (metadata, file), damage_named(path):
        return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@contextlib.contextmanager
def damage_named(path: str | os.PathLike) -> Iterator[None]:
    """Whatever damage or malice in a file leads to is one ValueError, which names the file and the reason."""
    try:
        yield
    except _DAMAGE as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        shown = reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
        raise ValueError(f"{path} cannot be read: {shown}") from error


@contextlib.contextmanager
def _opened(path: str | os.PathLike, form: str, writer: str) -> Iterator[tuple[dict[str, str], Any]]:
    """The metadata, and safetensors' open file, of which nothing has been read yet."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != form:
                raise ValueError(
                    f"{path} was not written by {writer}: expected format {form!r} in its metadata, got "
                    f"{metadata.get('format')!r}"
                )
            yield metadata, file
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None


FORMER_NAMES = {"ReversedOneLane": "ReversedFlow", "ReversedTwoLanes": "ReversedPairFlow"}
"""What versions before 0.2 called them."""


def kinds() -> dict[str, type[Layer]]:
    """All networks and layers by name, those that a program has declared included."""
    return KINDS | {former: KINDS[name] for former, name in FORMER_NAMES.items()}


def versions() -> str:
    return json.dumps({"pyinvnets": __version__, "numpy": np.__version__})


# The constructor in the metadata


def _encode(value: Any) -> Any:
    if isinstance(value, (ActivationFunction, Squeezer)):
        return {"class": type(value).__name__, "arguments": value.arguments}
    if isinstance(value, Layer):
        return {"class": type(value).__name__, "arguments": {k: _encode(v) for k, v in value.arguments.items()}}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if callable(value):
        raise TypeError(f"save: a network cannot be written with the Python function {value!r}; write its state_dict()")
    return value


def _described(value: Any) -> Any:
    """A network of the metadata as a pair of its class and all of its constructor's arguments, these likewise; an
    activation or squeezer as it is."""
    if isinstance(value, list):
        return [_described(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) != {"class", "arguments"} or not isinstance(value["arguments"], dict):
        raise ValueError(f"expected a class and its arguments in the metadata, got {value}")
    name, arguments = value["class"], value["arguments"]
    if name in VALUES:
        return VALUES[name](**arguments)
    if name not in kinds():
        raise ValueError(f"{name!r} in its metadata is no network, layer, activation or squeezer")
    kind = kinds()[name]
    return kind, _complete(kind, {key: _described(item) for key, item in arguments.items()})


def _complete(kind: type[Layer], arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with the constructor's defaults, which a file of an earlier version may lack."""
    taken = {
        name: parameter.default
        for name, parameter in kind.constructor().parameters.items()
        if name not in ENGINE_ARGUMENTS
    }
    complete = taken | arguments
    strange = [name for name in complete if name not in taken or complete[name] is inspect.Parameter.empty]
    if strange:
        raise ValueError(f"its metadata gives {kind.__name__} other arguments than it takes: see {', '.join(strange)}")
    return complete


def _built(value: Any, engine: str | None) -> Any:
    if isinstance(value, list):
        return tuple(_built(item, engine) for item in value)
    if not isinstance(value, tuple):
        return value
    kind, arguments = value
    return kind.make({name: _built(item, engine) for name, item in arguments.items()}, engine)


# The parameters in the file


def _check_parameters(network: Any, dtype: str, file: Any) -> None:
    """Raise ValueError unless the file has the parameters of the network, by name, shape and dtype."""
    if not isinstance(network, tuple):
        raise ValueError(f"expected a network in its metadata, got {network!r}")
    if dtype not in ("float32", "float64"):
        raise ValueError(f"expected dtype float32 or float64 in its metadata, got {dtype!r}")
    shapes = {}
    for name in file.keys():  # noqa: SIM118
        array = file.get_slice(name)
        if array.get_dtype() != _CODES[dtype]:
            raise ValueError(f"{name} is of type {array.get_dtype()}, expected {_CODES[dtype]} in a {dtype} network")
        shapes[name] = tuple(array.get_shape())
    parameters = parameter_shapes(*network)
    if parameters is not None:
        _check_declared(network[0].__name__, parameters, shapes)


def _check_declared(owner: str, parameters: Iterator, shapes: dict[str, tuple[int, ...]]) -> None:
    missing, unknown, absent = [], set(shapes), 0
    most_absent = _MOST_ABSENT + sum(map(math.prod, shapes.values()))
    for name, shape, lazy in parameters:
        if name in shapes:
            unknown.remove(name)
            if shapes[name] != shape:
                raise ValueError(f"{name} has shape {shapes[name]}, but {owner} with these arguments has {shape}")
        elif lazy:
            absent += math.prod(shape)
        else:
            missing.append(name)
        if len(missing) > 5 or absent > most_absent:
            raise ValueError(f"{owner} with these arguments has parameters that the file lacks, {name} and more")
    if missing or unknown:
        words = (("missing", missing), ("unknown", sorted(unknown)[:5]))
        listed = "; ".join(f"{word}: {', '.join(names)}" for word, names in words if names)
        raise ValueError(f"these are not the parameters of {owner} with these arguments: {listed}")


def _check_spatial(spatial: Any) -> None:
    sizes = spatial if isinstance(spatial, list) else []
    if spatial is not None and not (1 <= len(sizes) <= 3 and all(type(n) is int and 0 < n < 2**31 for n in sizes)):
        raise ValueError(f"expected the spatial sizes of images in its metadata, got {spatial!r}")


def _check_wrapper(name: str | None) -> None:
    if name is not None and name not in WRAPPERS:
        raise ValueError(f"{name!r} in its metadata is no form of a network, such as VectorFlow")
