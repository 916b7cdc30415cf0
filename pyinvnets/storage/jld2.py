"""Weights that Julia users saved with JLD2, read without Julia.

JLD2 writes any Julia value as HDF5, and as it reads a file it makes the types that the file names. Here nothing of a
file is made or run: the parameters' numbers are picked out, and all else is left alone.

Source: JLD2.jl 0.6, src/data/writing_datatypes.jl and src/dataspaces.jl, https://github.com/JuliaIO/JLD2.jl.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from . import hdf5
from .julia_files import Found, parameters_of, row_by_row

_DTYPES: dict[int, np.dtype] = {4: np.dtype("<f4"), 8: np.dtype("<f8")}

_KINDS = {hdf5.FLOAT: "Float", hdf5.FIXED_POINT: "Int or UInt "}

_TYPES = "_types"
"""The group in which types are."""


def load_jld2(path: str | os.PathLike, *, name: str | None = None) -> list[np.ndarray | None]:
    """The parameters in a file that Julia's JLD2 wrote.

    After `params = get_params(G) |> cpu; JLD2.@save "params.jld2" params` in Julia,
    `inv.set_params(G, inv.load_jld2("params.jld2"))` copies them into a network of the same architecture, on either
    engine. A file that holds a whole network, `JLD2.@save "net.jld2" G`, gives the parameters of that.

    Nothing in the file is run, and no Julia is needed, nor another library. Arrays that JLD2 compressed with its
    default, zlib, are read; others are not.

    Args:
        path: the file.
        name: the variable that was saved, in a group as `"group/variable"`; needed only where the file has several
            with parameters.

    Returns:
        The values in the order of upstream's `get_params`, each in Julia's shape, float32 or float64, and `None` where
        upstream holds `nothing`: in an ActNorm that was never used.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or no file of JLD2's; it holds no parameters, or in several variables of which none
            is chosen; there is no such variable; a parameter is no array in main memory, or is compressed otherwise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no JLD2 file at {path}")
    try:
        content = path.read_bytes()
        walk = _Walk(hdf5.Hdf5(content), len(content))
        found: dict[str, Found] = {key: list(walk.parameters(at)) for key, at in walk.variables().items()}
    except hdf5.UnsupportedFilter as error:
        raise ValueError(f"{path} is compressed by {error}; in Julia, save it with compress=false or true") from None
    except (ValueError, LookupError, TypeError, OverflowError, struct.error, RecursionError) as error:
        raise ValueError(f"{path} is not a whole file of Julia's JLD2 ({type(error).__name__}: {error})") from None
    return parameters_of(path, name, found)


class _Walk:
    """One way through all that a file holds.

    A value is an object of the file: an array, of numbers or of references to other objects, or a struct, whose fields
    are numbers, references or structs. A struct has its type once for all in the file, and the type has Julia's name.

    Attributes:
        left: how many references may still be followed. Each has eight bytes in the file; what is in the network twice
            is followed twice, but objects with two references to the next one, and so on, are no network.
        bytes_left: how many bytes the arrays may still have, which zlib can make of the file.
    """

    def __init__(self, file: hdf5.Hdf5, size: int) -> None:
        self._file = file
        self.left, self.bytes_left = size, 1000 * size
        self._names: dict[int, str] = {}
        self._arrays: dict[int, np.ndarray | str | None] = {}

    def variables(self) -> dict[str, int]:
        """The addresses of all variables, those in groups by the names of these too."""
        found = {}
        waiting = [("", self._file.root)]
        while waiting:
            before, address = waiting.pop()
            for name, target in self._file.object(address).links.items():
                self._follow()
                if self._file.object(target).datatype is None:
                    waiting.append((f"{before}{name}/", target))
                elif not before.startswith(f"{_TYPES}/"):
                    found[before + name] = target
        return found

    def parameters(self, address: int) -> Iterator[np.ndarray | str | None]:
        """The values of all parameters in upstream's order, field by field; a foreign one as the name of its type."""
        self._follow()
        if address in hdf5.NOWHERE:
            return
        read = self._file.object(address)
        kind = read.datatype
        if kind is None or read.dims is None:
            return
        if kind.kind == hdf5.REFERENCE:
            references = [number for (number,) in struct.iter_unpack("<Q", self._file.data(read))]
            for reference in row_by_row(references, read.dims[::-1]):
                yield from self.parameters(reference)
        elif kind.kind == hdf5.COMPOUND and self._name(kind).startswith("InvertibleNetworks."):
            struct_data = self._file.data(read)
            if self._name(kind) == "InvertibleNetworks.Parameter":
                yield self._array(_references(kind, struct_data)[0])
            else:
                for reference in _references(kind, struct_data):
                    yield from self.parameters(reference)

    def _follow(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError("its references lead round and round")

    def _name(self, kind: hdf5.Datatype) -> str:
        """The name of a type in Julia, with its module but without its parameters; of one that has none, `""`."""
        if kind.committed is None:
            return ""
        if kind.committed not in self._names:
            at = self._file.object(kind.committed).attributes["julia_type"]
            self._names[kind.committed] = self._file.heap_object(at).decode()
        return self._names[kind.committed]

    def _array(self, address: int) -> np.ndarray | str | None:
        self._follow()
        if address not in self._arrays:
            self._arrays[address] = self._array_at(address)
        return self._arrays[address]

    def _array_at(self, address: int) -> np.ndarray | str | None:
        read = self._file.object(address)
        kind = read.datatype
        if kind is None:
            raise ValueError("a parameter that is no value")
        name = self._name(kind)
        if name == "Core.Nothing":
            return None
        if name or not read.dims or kind.kind != hdf5.FLOAT or kind.size not in _DTYPES:
            return name or f"{_KINDS.get(kind.kind, 'kind ')}{8 * kind.size}"
        self.bytes_left -= math.prod(read.dims) * kind.size
        if self.bytes_left < 0:
            raise ValueError("arrays that are larger than can be in it")
        values = np.frombuffer(self._file.data(read), _DTYPES[kind.size])
        return values.reshape(read.dims[::-1], order="F").copy(order="F")


def _references(kind: hdf5.Datatype, data: bytes, start: int = 0) -> list[int]:
    """The addresses that a struct holds, those of the structs in it too, field by field."""
    found = []
    for _, offset, member in kind.members:
        if member.kind == hdf5.REFERENCE:
            found.append(int.from_bytes(data[start + offset : start + offset + 8], "little"))
        elif member.kind == hdf5.COMPOUND:
            found += _references(member, data, start + offset)
    return found
