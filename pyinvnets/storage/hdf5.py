"""The part of HDF5 that Julia's JLD2 writes, read from a file's bytes.

JLD2 has an HDF5 writer of its own. The HDF5 library refuses some of what it writes (version 2.0 its compressed arrays,
and types as they were written for a time), and from some damaged files it does not come back; here a damaged file ends
in an error.

Source: HDF5 File Format Specification 3.0, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html;
JLD2.jl 0.6, src/headermessages.jl and src/datatypes.jl, https://github.com/JuliaIO/JLD2.jl.
"""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

SIGNATURE = b"\x89HDF\r\n\x1a\n"

NOWHERE = (0, 2**64 - 1)
"""The addresses of what is not there."""

FIXED_POINT, FLOAT, STRING, BITFIELD, OPAQUE, COMPOUND, REFERENCE, VARIABLE = 0, 1, 3, 4, 5, 6, 7, 9
"""Kinds of types."""

_DATASPACE, _DATATYPE, _LINK, _LAYOUT, _FILTERS, _ATTRIBUTE, _CONTINUATION = 0x01, 0x03, 0x06, 0x08, 0x0B, 0x0C, 0x10
"""Kinds of messages, of which an object is made."""

_COMPACT, _CONTIGUOUS, _CHUNKED = 0, 1, 2

_DEFLATE, _SHUFFLE = 1, 2

_OTHER_FILTERS = {307: "Bzip2", 32001: "Blosc", 32004: "LZ4", 32015: "Zstandard"}

_BEST_DEFLATE = 1032
"""How many bytes zlib can make of one."""


@dataclass(frozen=True)
class Datatype:
    """What an element is.

    Attributes:
        kind: such as `FLOAT`.
        size: of an element, in bytes.
        members: of a compound, each with its name, where it begins and its type.
        committed: the address of a type that is written once for several objects, or `None`.
    """

    kind: int
    size: int
    members: tuple[tuple[str, int, Datatype], ...] = ()
    committed: int | None = None


@dataclass
class Object:
    """A dataset, a group or a committed type.

    Attributes:
        dims: the shape in C order, `()` of a single element; `None` where there are no elements at all.
        datatype: of the elements, where there are any.
        links: the members of a group, by name.
        attributes: where the data of each attribute begins, by name.
    """

    dims: tuple[int, ...] | None = None
    datatype: Datatype | None = None
    links: dict[str, int] = field(default_factory=dict)
    attributes: dict[str, int] = field(default_factory=dict)
    layout: tuple[int, int, int] | None = None
    filters: list[tuple[int, int]] = field(default_factory=list)


class UnsupportedFilter(Exception):
    """A dataset is compressed in a way that cannot be read here."""


class Hdf5:
    """A file in memory.

    Args:
        content: all its bytes.

    Attributes:
        root: the address of the group that holds all others.

    Raises:
        ValueError, LookupError, struct.error, RecursionError: it is damaged, here and in all methods.
    """

    def __init__(self, content: bytes) -> None:
        self._bytes = content
        start = next((at for at in (0, 512, 1024, 2048, 4096) if content[at : at + 8] == SIGNATURE), None)
        if start is None:
            raise ValueError("no HDF5 signature")
        version, offsets, lengths = struct.unpack_from("<3B", content, start + 8)
        if version not in (2, 3) or offsets != 8 or lengths != 8:
            raise ValueError(f"a superblock of version {version}, which JLD2 does not write")
        self._base, _, end, self.root = struct.unpack_from("<4Q", content, start + 12)
        if end > len(content):
            raise ValueError(f"expected {end} bytes, got {len(content)}")
        self._objects: dict[int, Object] = {}

    def object(self, address: int) -> Object:
        """What is at an address, read once."""
        if address not in self._objects:
            self._objects[address] = self._read(address)
        return self._objects[address]

    # Objects are made of messages, in one or several blocks

    def _read(self, address: int) -> Object:
        read = Object()
        for kind, shared, start, stop in self._messages(address + self._base):
            if kind == _DATASPACE:
                read.dims = self._dims(start)
            elif kind == _DATATYPE:
                read.datatype = self._shared_type(start) if shared else self._datatype(start)[0]
            elif kind == _LINK:
                name, target = self._link(start)
                read.links[name] = target
            elif kind == _LAYOUT:
                read.layout = self._layout(start)
            elif kind == _FILTERS:
                read.filters = self._filters(start)
            elif kind == _ATTRIBUTE:
                name, at = self._attribute(start, stop)
                read.attributes[name] = at
        return read

    def _messages(self, at: int) -> list[tuple[int, bool, int, int]]:
        """The kind of each message, whether it stands for another object's, and where its content begins and ends."""
        content = self._bytes
        if content[at : at + 5] != b"OHDR\x02":
            raise ValueError(f"no object at {at}")
        flags = content[at + 5]
        at += 6 + (16 if flags & 0x20 else 0) + (4 if flags & 0x10 else 0)
        width = 1 << (flags & 3)
        before = 6 if flags & 4 else 4
        blocks = [(at + width, self._number(at, width))]
        messages, seen = [], set()
        while blocks:
            at, size = blocks.pop()
            if at in seen or at + size > len(content):
                raise ValueError(f"an object's header at {at} leads round and round, or out of the file")
            seen.add(at)
            stop = at + size
            while at + before <= stop:
                kind, length, of_message = struct.unpack_from("<BHB", content, at)
                at += before
                if at + length > stop:
                    raise ValueError(f"a message of {length} bytes, where {stop - at} are left")
                if kind == _CONTINUATION:
                    next_at, next_size = struct.unpack_from("<QQ", content, at)
                    next_at += self._base
                    if content[next_at : next_at + 4] != b"OCHK":
                        raise ValueError(f"no continuation at {next_at}")
                    blocks.append((next_at + 4, next_size - 8))  # without the signature and the checksum
                else:
                    messages.append((kind, bool(of_message & 2), at, at + length))
                at += length
        return messages

    def _number(self, at: int, width: int) -> int:
        if at + width > len(self._bytes):
            raise ValueError("the file ends in a number")
        return int.from_bytes(self._bytes[at : at + width], "little")

    def _dims(self, at: int) -> tuple[int, ...] | None:
        version, count, _, kind = struct.unpack_from("<4B", self._bytes, at)
        if version != 2 or kind > 2:
            raise ValueError(f"a dataspace of version {version} and kind {kind}")
        return None if kind == 2 else struct.unpack_from(f"<{count}Q", self._bytes, at + 4)

    def _link(self, at: int) -> tuple[str, int]:
        version, flags = struct.unpack_from("<2B", self._bytes, at)
        if version != 1 or flags & 8:
            raise ValueError("a link to a name or to another file, which JLD2 does not write")
        at += 2 + (8 if flags & 4 else 0) + (1 if flags & 16 else 0)
        width = 1 << (flags & 3)
        start = at + width
        stop = start + self._number(at, width)
        return self._bytes[start:stop].decode(), self._number(stop, 8)

    def _attribute(self, at: int, stop: int) -> tuple[str, int]:
        version, _, of_name, of_type, of_space = struct.unpack_from("<BBHHH", self._bytes, at)
        if version not in (2, 3):
            raise ValueError(f"an attribute of version {version}")
        at += 8 + (version == 3)
        data = at + of_name + of_type + of_space
        if not of_name or data > stop:
            raise ValueError("an attribute larger than its message")
        return self._bytes[at : at + of_name - 1].decode(), data

    # Types

    def _shared_type(self, at: int) -> Datatype:
        address = self._number(at + 2, 8)
        for kind, shared, start, _ in self._messages(address + self._base):
            if kind == _DATATYPE and not shared:
                own, _ = self._datatype(start)
                return Datatype(own.kind, own.size, own.members, address)
        raise ValueError(f"no type at {address}")

    def _datatype(self, at: int) -> tuple[Datatype, int]:
        """The type that is written at `at`, and where it ends."""
        first, flags, size = struct.unpack_from("<BHxI", self._bytes, at)
        kind = first & 15
        at += 8
        if kind == COMPOUND:
            return self._compound(flags, size, at)
        if kind == VARIABLE:
            return Datatype(kind, size), self._datatype(at)[1]
        after = {FIXED_POINT: 4, BITFIELD: 4, FLOAT: 12, STRING: 0, REFERENCE: 0, OPAQUE: flags & 255}
        if kind not in after:
            raise ValueError(f"a type of kind {kind}, which JLD2 does not write")
        return Datatype(kind, size), at + after[kind]

    def _compound(self, count: int, size: int, at: int) -> tuple[Datatype, int]:
        width = max(1, (size.bit_length() + 7) // 8)
        members = []
        for _ in range(count):
            end = self._bytes.index(b"\0", at)
            offset = self._number(end + 1, width)
            member, after = self._datatype(end + 1 + width)
            if offset + member.size > size:
                raise ValueError("a member that is larger than what it is of")
            members.append((self._bytes[at:end].decode(), offset, member))
            at = after
        return Datatype(COMPOUND, size, tuple(members)), at

    # Data

    def _layout(self, at: int) -> tuple[int, int, int]:
        """Of which kind it is, and where the data begin and end."""
        version, kind = struct.unpack_from("<2B", self._bytes, at)
        if version not in (3, 4):
            raise ValueError(f"a layout of version {version}")
        if kind == _COMPACT:
            return kind, at + 4, at + 4 + self._number(at + 2, 2)
        if kind == _CONTIGUOUS:
            address, size = struct.unpack_from("<2Q", self._bytes, at + 2)
        elif kind == _CHUNKED and version == 4:
            flags, rank, width = struct.unpack_from("<3B", self._bytes, at + 2)
            index, size, _, address = struct.unpack_from("<BQIQ", self._bytes, at + 5 + rank * width)
            if flags != 2 or index != 1:
                raise ValueError("an array in several chunks, which JLD2 does not write")
        else:
            raise ValueError(f"a layout of kind {kind} and version {version}, which JLD2 does not write")
        start = 0 if address in NOWHERE else address + self._base
        return kind, start, start + size

    def _filters(self, at: int) -> list[tuple[int, int]]:
        """The number of each filter, with its first argument."""
        version, count = struct.unpack_from("<2B", self._bytes, at)
        if version not in (1, 2):
            raise ValueError(f"filters of version {version}")
        at += 2 if version == 2 else 8
        found = []
        for _ in range(count):
            number = self._number(at, 2)
            named = version == 1 or number >= 256
            of_name = self._number(at + 2, 2) if named else 0
            at += 4 if named else 2
            _, arguments = struct.unpack_from("<2H", self._bytes, at)
            at += 4 + (-(-of_name // 8) * 8 if version == 1 else of_name)
            found.append((number, self._number(at, 4) if arguments else 0))
            at += 4 * (arguments + (arguments % 2 if version == 1 else 0))
        return found

    def data(self, read: Object) -> bytes:
        """All elements of a dataset, in C order.

        Raises:
            UnsupportedFilter: they are compressed by something else than zlib.
        """
        if read.layout is None or read.datatype is None or read.dims is None:
            raise ValueError("an object without data")
        kind, start, stop = read.layout
        if stop > len(self._bytes):
            raise ValueError(f"data up to {stop}, after the end of the file")
        size = math.prod(read.dims) * read.datatype.size
        data = self._bytes[start:stop]
        if kind == _CHUNKED:
            data = _decoded(data, read.filters, size)
        if len(data) != size:
            raise ValueError(f"expected {size} bytes of data, got {len(data)}")
        return data

    def heap_object(self, at: int) -> bytes:
        """What the reference at `at` to the heap, in which elements of any length are, stands for."""
        length, address, index = struct.unpack_from("<IQI", self._bytes, at)
        if not length:
            return b""
        at = address + self._base
        if self._bytes[at : at + 4] != b"GCOL":
            raise ValueError(f"no heap at {at}")
        stop = min(len(self._bytes), at + self._number(at + 8, 8))
        at += 16
        while at + 16 <= stop:
            number, size = struct.unpack_from("<H6xQ", self._bytes, at)
            if number == index:
                return self._bytes[at + 16 : at + 16 + min(size, stop)]
            if number == 0:
                break
            at += 16 + -(-size // 8) * 8
        raise ValueError(f"no object {index} in a heap")


def _decoded(data: bytes, filters: list[tuple[int, int]], size: int) -> bytes:
    for number, argument in reversed(filters):
        if number == _DEFLATE:
            if size > _BEST_DEFLATE * len(data):
                raise ValueError(f"{size} bytes cannot come of {len(data)}")
            data = _unzipped(data, size)
        elif number == _SHUFFLE:
            if not argument or len(data) % argument:
                raise ValueError(f"elements of {argument} bytes in {len(data)}")
            data = np.frombuffer(data, np.uint8).reshape(argument, -1).T.tobytes()
        else:
            raise UnsupportedFilter(_OTHER_FILTERS.get(number, f"filter {number}"))
    return data


def _unzipped(data: bytes, size: int) -> bytes:
    """The bytes that zlib made of others, no more than one beyond `size`."""
    try:
        return zlib.decompressobj().decompress(data, size + 1)
    except zlib.error as error:
        raise ValueError(f"not of zlib: {error}") from None
