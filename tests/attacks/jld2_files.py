"""Files as Julia's JLD2 writes them, byte by byte from its source, for tests without Julia.

Source: JLD2.jl 0.6, src/datasets.jl, src/headermessages.jl, src/global_heaps.jl and src/lookup3.jl.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

BASE = 512
HEADER = b"HDF5-based Julia Data Format, version 0.2.0\0 (Julia 1.10.8 64-bit LE)\0"
UNDEFINED = 2**64 - 1

FLOATS = {
    2: struct.pack("<BBBBIHHBBBBI", 0x31, 0x20, 15, 0, 2, 0, 16, 10, 5, 0, 10, 15),
    4: struct.pack("<BBBBIHHBBBBI", 0x31, 0x20, 31, 0, 4, 0, 32, 23, 8, 0, 23, 127),
    8: struct.pack("<BBBBIHHBBBBI", 0x31, 0x20, 63, 0, 8, 0, 64, 52, 11, 0, 52, 1023),
}
INT8 = struct.pack("<BBBBIHH", 0x30, 0, 0, 0, 1, 0, 8)
INT64 = struct.pack("<BBBBIHH", 0x30, 0x08, 0, 0, 8, 0, 64)
REFERENCE = struct.pack("<BBBBI", 0x37, 0, 0, 0, 8)
UTF8 = struct.pack("<BBBBI", 0x39, 0x11, 1, 0, 16) + struct.pack("<BBBBIHH", 0x30, 0, 0, 0, 1, 0, 8)
REFERENCES = struct.pack("<BBBBI", 0x39, 0, 0, 0, 16) + REFERENCE
OPAQUE = struct.pack("<BBBBI", 0x35, 0, 0, 0, 1)

SCALAR = bytes([2, 0, 0, 0])
NOTHING = bytes([2, 0, 0, 2])


PARAMETER = "InvertibleNetworks.Parameter"


class Struct:
    """A Julia struct: its type's name, and its fields.

    A field's Struct is written inside, as if it were of an immutable type, but for a parameter and what that holds; all
    else is written beside.
    """

    def __init__(self, type_name: str, /, **fields: Any) -> None:
        self.type_name, self.fields = type_name, fields


def parameter(data: Any, grad: Any = None) -> Struct:
    return Struct(PARAMETER, data=data, grad=grad)


def write(path: Any, variables: Mapping[str, Any], *, compress: bool | str = False) -> None:
    """A file with these variables; a dict is a group, a list an array of references, `None` is Julia's `nothing`.

    `compress` is `True` for JLD2's default, or "zstd" for what cannot be read without another library.
    """
    path.write_bytes(Writer(compress).file(variables))


class Writer:
    def __init__(self, compress: bool | str = False) -> None:
        self.compress = compress
        self.content = bytearray(48)  # the superblock's place
        self.types: dict[str, tuple[int, bytes]] = {}
        self.heap_at, self.heap, self.heap_count = 0, bytearray(), 0
        self.written: dict[int, int] = {}
        self.kept: list[Any] = []  # so that no id comes again

    def file(self, variables: Mapping[str, Any]) -> bytes:
        self.heap_at = len(self.content)
        self.content += bytes(16 + 4096)
        links = {name: self.value(value) for name, value in variables.items()}
        types = self.group({f"{i:08d}": at for i, (at, _) in enumerate(self.types.values(), 1)})
        root = self.group({"_types": types} | links)
        heap = b"GCOL" + struct.pack("<IQ", 1, 4096) + self.heap
        self.content[self.heap_at : self.heap_at + len(heap)] = heap
        start = b"\x89HDF\r\n\x1a\n" + struct.pack("<4B4Q", 2, 8, 8, 0, BASE, UNDEFINED, BASE + len(self.content), root)
        self.content[:48] = start + struct.pack("<I", lookup3(start))
        return HEADER.ljust(BASE, b"\0") + bytes(self.content)

    # Values

    def value(self, value: Any) -> int:
        """Where the value is; what occurs twice is written once."""
        if id(value) not in self.written or value is None:
            self.kept.append(value)
            self.written[id(value)] = self._value(value)
        return self.written[id(value)]

    def _value(self, value: Any) -> int:
        if value is None:
            at, _ = self.committed("Core.Nothing", OPAQUE, empty=True)
            return self.object((1, NOTHING), shared(at), compact(b""))
        if isinstance(value, dict):
            return self.group({name: self.value(part) for name, part in value.items()})
        if isinstance(value, Struct):
            fields, data = self.fields(value)
            at, _ = self.committed(value.type_name, fields)
            return self.object((1, SCALAR), shared(at), compact(data))
        if isinstance(value, (list, tuple)) or value.dtype == object:
            array = np.empty(len(value), object) if isinstance(value, (list, tuple)) else value
            if array is not value:
                array[:] = value
            numbers = np.array([self.value(part) for part in array.ravel(order="F")], "<u8")
            return self.array(numbers.reshape(array.shape, order="F"), REFERENCE)
        return self.array(value, FLOATS[value.itemsize] if value.dtype.kind == "f" else INT64)

    def array(self, array: np.ndarray, datatype: bytes) -> int:
        dims = array.shape[::-1]
        space = (1, bytes([2, len(dims), 0, 1]) + struct.pack(f"<{len(dims)}Q", *dims))
        data = array.tobytes(order="F")
        if not data:
            return self.object(space, (3, datatype, 1), compact(b""))
        if self.compress and datatype is not REFERENCE:
            number, data = (1, zlib.compress(data, 5)) if self.compress is True else (32015, data)
            chunk = struct.pack(f"<4BB{len(dims) + 1}QB", 4, 2, 2, len(dims) + 1, 8, *dims, array.itemsize, 1)
            layout = (8, chunk + struct.pack("<QIQ", len(data), 0, self.append(data)))
            name = struct.pack("<H", 0) if number >= 256 else b""
            filters = struct.pack("<BBH", 2, 1, number) + name + struct.pack("<HHI", 0, 1, 5)
            return self.object(space, (3, datatype, 1), (11, filters), layout)
        self.content += bytes(-len(self.content) % 8)
        return self.object(space, (3, datatype, 1), (8, struct.pack("<BBQQ", 4, 1, self.append(data), len(data))))

    def fields(self, value: Struct) -> tuple[bytes, bytes]:
        """A compound type, and the data of one such struct."""
        members, data = [], b""
        typed = value.type_name != PARAMETER
        for name, part in value.fields.items():
            if typed and isinstance(part, Struct) and part.type_name != PARAMETER:
                member, own = self.fields(part)
            elif isinstance(part, int):
                member, own = INT64, struct.pack("<q", part)
            else:
                member, own = REFERENCE, struct.pack("<Q", self.value(part))
            members.append((name, len(data), member))
            data += own
        return compound(members, len(data)), data

    # Objects

    def committed(self, name: str, datatype: bytes, empty: bool = False) -> tuple[int, bytes]:
        if "Core.DataType" not in self.types:
            of_types = compound([("name", 0, UTF8), ("parameters", 16, REFERENCES)], 32)
            own = len(self.content)
            self.types["Core.DataType"] = own, of_types
            assert self.object((3, of_types), self.julia_type(own, "Core.DataType")) == own
        if name not in self.types:
            attribute = self.julia_type(self.types["Core.DataType"][0], name)
            more = [(12, struct.pack("<BBHHH", 2, 0, 6, 12, 4) + b"empty\0" + INT8 + SCALAR + b"\1")] if empty else []
            self.types[name] = self.object((3, datatype), attribute, *more), datatype
        return self.types[name]

    def julia_type(self, of_types: int, name: str) -> tuple[int, bytes]:
        index = self.heap_object(name.encode())
        data = struct.pack("<IQI", len(name), self.heap_at, index) + bytes(16)
        return 12, struct.pack("<BBHHH", 2, 1, 11, 10, 4) + b"julia_type\0" + shared(of_types)[1] + SCALAR + data

    def heap_object(self, data: bytes) -> int:
        self.heap_count += 1
        self.heap += struct.pack("<HHIQ", self.heap_count, 1, 0, len(data)) + data + bytes(-len(data) % 8)
        return self.heap_count

    def group(self, links: Mapping[str, int]) -> int:
        named = [(6, struct.pack("<3BB", 1, 0x10, 1, len(k)) + k.encode() + struct.pack("<Q", at))
                 for k, at in links.items()]  # fmt: skip
        return self.object((2, struct.pack("<BBQQ", 0, 0, UNDEFINED, UNDEFINED)), (10, bytes(2)), *named)

    def object(self, *messages: tuple[Any, ...]) -> int:
        """An object's header: each message is its kind, content and flags."""
        body = b"".join(
            struct.pack("<BHB", kind, len(content), flags[0] if flags else 0) + content
            for kind, content, *flags in messages
        )
        body += struct.pack("<BHB", 0, 16, 0) + bytes(16)  # room for a continuation
        header = b"OHDR\2" + struct.pack("<BI", 2, len(body)) + body
        return self.append(header + struct.pack("<I", lookup3(header)))

    def append(self, data: bytes) -> int:
        at = len(self.content)
        self.content += data
        return at


def shared(at: int) -> tuple[int, bytes, int]:
    return 3, struct.pack("<BBQ", 3, 2, at), 2


def compact(data: bytes) -> tuple[int, bytes]:
    return 8, struct.pack("<BBH", 4, 0, len(data)) + data


def compound(members: list[tuple[str, int, bytes]], size: int) -> bytes:
    width = (size.bit_length() + 7) // 8
    parts = [name.encode() + b"\0" + offset.to_bytes(width, "little") + member for name, offset, member in members]
    return struct.pack("<BBBBI", 0x36, len(members), 0, 0, size) + b"".join(parts)


def lookup3(data: bytes) -> int:
    """Jenkins' checksum of headers, https://burtleburtle.net/bob/c/lookup3.c."""

    def rotated(x: int, k: int) -> int:
        return (x << k | x >> (32 - k)) & 0xFFFFFFFF

    a = b = c = (0xDEADBEEF + len(data)) & 0xFFFFFFFF
    if not data:
        return c
    words = np.frombuffer(data + bytes(-len(data) % 12), "<u4").reshape(-1, 3).tolist()
    mixing = (("ac", 4, "cb"), ("ba", 6, "ac"), ("cb", 8, "ba"), ("ac", 16, "cb"), ("ba", 19, "ac"), ("cb", 4, "ba"))
    last = (("cb", 14), ("ac", 11), ("ba", 25), ("cb", 16), ("ac", 4), ("ba", 14), ("cb", 24))
    v = {"a": a, "b": b, "c": c}
    for number, row in enumerate(words, 1):
        for name, word in zip("abc", row, strict=True):
            v[name] = (v[name] + word) & 0xFFFFFFFF
        if number < len(words):
            for (x, y), k, (to, of) in mixing:
                v[x] = ((v[x] - v[y]) & 0xFFFFFFFF) ^ rotated(v[y], k)
                v[to] = (v[to] + v[of]) & 0xFFFFFFFF
    for (x, y), k in last:
        v[x] = ((v[x] ^ v[y]) - rotated(v[y], k)) & 0xFFFFFFFF
    return v["c"]
