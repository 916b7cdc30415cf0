"""Weights that Julia users saved with BSON.jl, read without Julia.

BSON.jl writes any Julia value, functions included, and its own `BSON.load` may run code that a file holds. Here nothing
of a file runs: the parameters' numbers are picked out, and all else is left alone.

Source: BSON.jl 0.3, src/write.jl and src/extensions.jl, https://github.com/JuliaIO/BSON.jl; https://bsonspec.org.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .julia_files import parameters_of, row_by_row

_NUMBERS = {0x01: struct.Struct("<d"), 0x08: struct.Struct("<?"), 0x10: struct.Struct("<i"), 0x12: struct.Struct("<q")}

_DTYPES: dict[str, np.dtype] = {"Float32": np.dtype("<f4"), "Float64": np.dtype("<f8")}


def load_bson(path: str | os.PathLike, *, name: str | None = None) -> list[np.ndarray | None]:
    """The parameters in a file that Julia's BSON wrote, as upstream's example saves them.

    After `net_params = get_params(G) |> cpu; BSON.@save "net_params.bson" net_params` in Julia,
    `inv.set_params(G, inv.load_bson("net_params.bson"))` copies them into a network of the same architecture, on
    either engine. A file that holds a whole network, `BSON.@save "net.bson" G`, gives the parameters of that.

    Nothing in the file is run, and no Julia is needed. Julia's own `BSON.load` may run code that a file holds: do not
    call it on a file from a stranger.

    Args:
        path: the file.
        name: the variable that was saved; needed only where the file has several with parameters.

    Returns:
        The values in the order of upstream's `get_params`, each in Julia's shape, float32 or float64, and `None` where
        upstream holds `nothing`: in an ActNorm that was never used.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or no file of BSON.jl's; it holds no parameters, or in several variables of which
            none is chosen; there is no such variable; a parameter is no array in main memory.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no BSON file at {path}")
    try:
        variables = _document(path.read_bytes())
        references = variables.pop("_backrefs", [])
        found = {key: list(_Walk(references).parameters(value)) for key, value in variables.items()}
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error, RecursionError) as error:
        raise ValueError(f"{path} is not a whole file of Julia's BSON ({type(error).__name__}: {error})") from None
    return parameters_of(path, name, found)


# The file: documents of named values


def _document(data: bytes) -> dict[str, Any]:
    pairs, end = _pairs(data, 0)
    if end != len(data):
        raise ValueError(f"expected {end} bytes, got {len(data)}")
    return dict(pairs)


def _pairs(data: bytes, start: int) -> tuple[list[tuple[str, Any]], int]:
    """The names and values of the document at `start`, and where it ends."""
    size = _size(data, start)
    pairs, at = [], start + 4
    while data[at]:
        name_end = data.index(0, at + 1)
        value, after = _value(data[at], data, name_end + 1)
        pairs.append((data[at + 1 : name_end].decode(), value))
        at = after
    if at + 1 != start + size:
        raise ValueError(f"a document of {size} bytes ends after {at + 1 - start}")
    return pairs, at + 1


def _size(data: bytes, at: int) -> int:
    """The number of bytes that is written at `at`, all of which the file has."""
    size = _NUMBERS[0x10].unpack_from(data, at)[0]
    if not 0 <= size <= len(data) - at:
        raise ValueError(f"a value of {size} bytes, where {len(data) - at} are left")
    return size


def _value(kind: int, data: bytes, at: int) -> tuple[Any, int]:
    if kind in _NUMBERS:
        return _NUMBERS[kind].unpack_from(data, at)[0], at + _NUMBERS[kind].size
    if kind == 0x0A:
        return None, at
    if kind in (0x03, 0x04):
        pairs, end = _pairs(data, at)
        return (dict(pairs) if kind == 0x03 else [value for _, value in pairs]), end
    if kind not in (0x02, 0x05):
        raise ValueError(f"a value of kind {kind}")
    size = _size(data, at)
    first = at + (4 if kind == 0x02 else 5)
    if first + size > len(data):
        raise ValueError(f"a value of {size} bytes, where {len(data) - first} are left")
    return (data[first : first + size - 1].decode() if kind == 0x02 else data[first : first + size]), first + size


# Julia's values: documents with a `tag`. What occurs more than once is in a list, and elsewhere a reference to it.


class _Walk:
    """One way through all that a variable holds.

    Attributes:
        references: what is referred to.
        left: how many values may still be looked at. Without a bound, references to what holds two references, and so
            on, would make a way of years out of a file of two kilobytes.
        arrays: those found so far, by the bytes that they are made of: what Julia has once is here once.
    """

    def __init__(self, references: list) -> None:
        self.references = references
        self.left = _count(references) * 4 + 1_000_000
        self.arrays: dict[int, np.ndarray] = {}

    def parameters(self, value: Any) -> Iterator[np.ndarray | str | None]:
        """The values of all parameters in upstream's order, field by field; a foreign one as the name of its type."""
        self.left -= 1
        if self.left < 0:
            raise ValueError("its references lead round and round")
        value = self._followed(value)
        if isinstance(value, dict):
            tag, path = value.get("tag"), self._type_path(value)
            if tag == "struct" and path == ["InvertibleNetworks", "Parameter"]:
                yield self._array(value["data"][0])
                return
            if tag == "struct" and path[0] == "InvertibleNetworks":
                value = value["data"]
            elif tag == "array" and isinstance(value["data"], list):
                value = row_by_row(value["data"], value["size"])
        if isinstance(value, list):
            for part in value:
                yield from self.parameters(part)

    def _followed(self, value: Any) -> Any:
        while isinstance(value, dict) and value.get("tag") == "backref":
            self.left -= 1
            if self.left < 0 or value["ref"] < 1:
                raise ValueError("its references lead round and round, or nowhere")
            value = self.references[value["ref"] - 1]
        return value

    def _type_path(self, value: dict) -> list[str]:
        """Such as `["Core", "Float32"]`; types without a name have none."""
        kind = self._followed(value.get("type"))
        return kind["name"] if isinstance(kind, dict) and kind.get("tag") == "datatype" else [""]

    def _array(self, value: Any) -> np.ndarray | str | None:
        value = self._followed(value)
        if value is None:
            return None
        name = str(self._type_path(value)[-1])
        if value["tag"] != "array" or name not in _DTYPES:
            return name
        data, size = value["data"], value["size"]
        if not all(n >= 0 for n in size):
            raise ValueError(f"an array of size {size}")
        if id(data) not in self.arrays:
            self.arrays[id(data)] = np.frombuffer(data, _DTYPES[name]).reshape(size, order="F").copy(order="F")
        return self.arrays[id(data)]


def _count(value: Any) -> int:
    """How many values there are in lists and documents, without following references."""
    count, waiting = 0, [value]
    while waiting:
        value = waiting.pop()
        count += 1
        if isinstance(value, (list, dict)):
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return count
