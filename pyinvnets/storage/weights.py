"""Weights on disk: a safetensors file with named parameters, and the constructor in its metadata. No pickle."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import networks
from .._version import __version__
from ..functions import VALUES, ActivationFunction, Squeezer
from ..networks.base.layer import Invertible
from ..networks.reverse import ReversedOneLane, ReversedTwoLanes
from .files import replaced

_FORMAT = "pyinvnets-1"


def save(network: Invertible, path: str | os.PathLike) -> None:
    """Write the parameters by name, in Julia's shapes, with the constructor, to a safetensors file.

    The file is written beside its place and moved there, so that a crash leaves the old one whole.
    """
    constructor = {"class": type(network).__name__, "arguments": {k: _encode(v) for k, v in network.arguments.items()}}
    metadata = {
        "format": _FORMAT,
        "constructor": json.dumps(constructor),
        "dtype": network.dtype.name,
        "spatial": json.dumps(network.spatial),
        "versions": versions(),
    }
    write(path, network.state_dict(), metadata)


def write(path: str | os.PathLike, arrays: dict[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Write a safetensors file beside its place and move it there."""
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    with replaced(path) as temporary:
        save_file(arrays, temporary, metadata)


def load(path: str | os.PathLike, *, engine: str | None = None) -> Invertible:
    """The network of a file that `save` wrote, on either engine.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, not a safetensors file, not written by `save`, or its parameters are not those of
            its network.
    """
    metadata, state = read(path, _FORMAT, "pyinvnets.save")
    try:
        constructor = json.loads(metadata["constructor"])
        kind = kinds()[constructor["class"]]
        arguments = {k: _decode(v, engine) for k, v in constructor["arguments"].items()}
        dtype, spatial = metadata["dtype"], json.loads(metadata["spatial"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: its metadata is not what pyinvnets.save writes ({error!r})") from None
    network = kind._make(arguments, engine).astype(dtype)
    network.load_state_dict(state)
    if spatial is not None:
        network.spatial = tuple(spatial)
    return network


def read(path: str | os.PathLike, form: str, writer: str) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    """The metadata and arrays of a file with `form` as its format, which `writer` wrote.

    Raises:
        FileNotFoundError, ValueError: as `load`.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no weights file at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from None
    if metadata.get("format") != form:
        raise ValueError(
            f"{path} was not written by {writer}: expected format {form!r} in its metadata, got "
            f"{metadata.get('format')!r}"
        )
    return metadata, state


def kinds() -> dict[str, type[Invertible]]:
    """All networks and layers by name."""
    kinds = {name: kind for name, kind in vars(networks).items() if isinstance(kind, type)}
    return kinds | {kind.__name__: kind for kind in (ReversedOneLane, ReversedTwoLanes)}


def _encode(value: Any) -> Any:
    if isinstance(value, (ActivationFunction, Squeezer)):
        return {"class": type(value).__name__, "arguments": value.arguments}
    if isinstance(value, Invertible):
        return {"class": type(value).__name__, "arguments": {k: _encode(v) for k, v in value.arguments.items()}}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    if callable(value):
        raise TypeError(f"save: a network cannot be written with the Python function {value!r}; write its state_dict()")
    return value


def _decode(value: Any, engine: str | None) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item, engine) for item in value)
    if not isinstance(value, dict):
        return value
    if value["class"] in VALUES:
        return VALUES[value["class"]](**value["arguments"])
    return kinds()[value["class"]]._make({k: _decode(v, engine) for k, v in value["arguments"].items()}, engine)


def versions() -> str:
    return json.dumps({"pyinvnets": __version__, "numpy": np.__version__})
