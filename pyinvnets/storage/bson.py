"""Weights that Julia users saved with BSON.jl, read without Julia.

BSON.jl writes any Julia value, functions included, and its own `BSON.load` may run code that a file holds. Here nothing
of a file runs: the parameters' numbers are picked out, and all else is left alone.

Source: BSON.jl 0.3, src/write.jl and src/extensions.jl, https://github.com/JuliaIO/BSON.jl; https://bsonspec.org.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_NUMBERS = {0x01: struct.Struct("<d"), 0x08: struct.Struct("<?"), 0x10: struct.Struct("<i"), 0x12: struct.Struct("<q")}

_DTYPES = {"Float32": np.dtype("<f4"), "Float64": np.dtype("<f8")}


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
        found = {key: list(_parameters(value, references)) for key, value in variables.items()}
    except (ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise ValueError(f"{path} is not a whole file of Julia's BSON ({type(error).__name__}: {error})") from None
    chosen = _chosen(path, name, found)
    foreign = next((value for value in found[chosen] if isinstance(value, str)), None)
    if foreign is not None:
        raise ValueError(
            f"{path}: {chosen} holds a parameter of type {foreign}, expected Array of Float32 or Float64; in Julia, "
            "move the parameters into main memory with `|> cpu` before saving"
        )
    return found[chosen]


def _chosen(path: Path, name: str | None, found: dict[str, list]) -> str:
    """The variable that holds the parameters."""
    if name is not None and name not in found:
        raise ValueError(f"{path} has no variable {name!r}, it has {_listed(found)}")
    holding = [key for key, values in found.items() if values and name in (None, key)]
    if not holding:
        raise ValueError(
            f"{path}: expected parameters of InvertibleNetworks.jl, as get_params(G) gives them, found none in "
            f"{name or _listed(found)}"
        )
    if len(holding) > 1:
        raise ValueError(f"{path} has parameters in {_listed(holding)}; choose one, such as name={holding[0]!r}")
    return holding[0]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"


# The file: documents of named values


def _document(data: bytes) -> dict[str, Any]:
    pairs, end = _pairs(data, 0)
    if end != len(data):
        raise ValueError(f"expected {end} bytes, got {len(data)}")
    return dict(pairs)


def _pairs(data: bytes, start: int) -> tuple[list[tuple[str, Any]], int]:
    """The names and values of the document at `start`, and where it ends."""
    pairs, at = [], start + 4
    while data[at]:
        name_end = data.index(0, at + 1)
        value, after = _value(data[at], data, name_end + 1)
        pairs.append((data[at + 1 : name_end].decode(), value))
        at = after
    return pairs, at + 1


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
    size = _NUMBERS[0x10].unpack_from(data, at)[0]
    if kind == 0x02:
        return data[at + 4 : at + 3 + size].decode(), at + 4 + size
    return data[at + 5 : at + 5 + size], at + 5 + size


# Julia's values: documents with a `tag`. What occurs more than once is in a list, and elsewhere a reference to it.


def _parameters(value: Any, references: list) -> Iterator[np.ndarray | str | None]:
    """The values of all parameters in upstream's order, field by field; a foreign one as the name of its type."""
    value = _followed(value, references)
    if isinstance(value, dict):
        tag, path = value.get("tag"), _type_path(value, references)
        if tag == "struct" and path == ["InvertibleNetworks", "Parameter"]:
            yield _array(value["data"][0], references)
            return
        if tag == "struct" and path[0] == "InvertibleNetworks":
            value = value["data"]
        elif tag == "array" and isinstance(value["data"], list):
            value = _row_by_row(value["data"], value["size"])
    if isinstance(value, list):
        for part in value:
            yield from _parameters(part, references)


def _followed(value: Any, references: list) -> Any:
    refers = isinstance(value, dict) and value.get("tag") == "backref"
    return _followed(references[value["ref"] - 1], references) if refers else value


def _type_path(value: dict, references: list) -> list[str]:
    """Such as `["Core", "Float32"]`; types without a name have none."""
    kind = _followed(value.get("type"), references)
    return kind["name"] if isinstance(kind, dict) and kind.get("tag") == "datatype" else [""]


def _row_by_row(items: list, size: list[int]) -> list:
    """A matrix of layers as upstream goes through it; Julia's order is column by column."""
    order = np.arange(len(items)).reshape(size, order="F")
    return [items[i] for i in order.ravel()]


def _array(value: Any, references: list) -> np.ndarray | str | None:
    value = _followed(value, references)
    if value is None:
        return None
    path = _type_path(value, references)
    if value["tag"] != "array" or path[-1] not in _DTYPES:
        return path[-1]
    return np.frombuffer(value["data"], _DTYPES[path[-1]]).reshape(value["size"], order="F").copy(order="F")
