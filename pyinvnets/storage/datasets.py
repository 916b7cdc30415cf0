"""Datasets in HDF5 files and Zarr folders, by the text that a command line names them with: `FILE` or `FILE:NAME`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

_HDF5 = b"\x89HDF\r\n\x1a\n"
"""How an HDF5 file begins; one of Julia's JLD2 has 512 other bytes before that."""


def split(text: str) -> tuple[str, str | None]:
    """The file, and the name in it where one is given."""
    file, colon, name = text.rpartition(":")
    return (file, name) if colon and not os.path.exists(text) else (text, None)


def is_dataset(text: str) -> bool:
    """Whether the file is HDF5, or a folder, as Zarr has."""
    file, _ = split(text)
    return os.path.isdir(file) or is_hdf5(file)


def is_hdf5(path: str) -> bool:
    """Whether the file is HDF5; a file that is not there is not."""
    try:
        with open(path, "rb") as file:
            start = file.read(512 + len(_HDF5))
    except OSError:
        return False
    return start.startswith(_HDF5) or start[512:] == _HDF5


def read(text: str) -> Any:
    """The dataset, open and not read.

    Raises:
        ImportError: the library for such files is not installed.
        ValueError: it holds no such dataset, or several of which none is named, or none of numbers.
    """
    file, name = split(text)
    datasets = _of_hdf5(file) if is_hdf5(file) else _of_zarr(file)
    usable = {key: array for key, array in datasets.items() if array.dtype.kind in "fiu" and 2 <= array.ndim <= 5}
    if name is None and len(usable) == 1:
        (name,) = usable
    name = (name or "").strip("/")
    if name not in usable or not all(usable[name].shape):
        listed = ", ".join(sorted(usable)) or "none"
        raise ValueError(
            f"{text}: expected the name of an array of numbers with samples on the first of two to five axes, as in "
            f"{file}:NAME; those in the file: {listed}"
        )
    return usable[name]


def _of_hdf5(file: str) -> dict[str, Any]:
    h5py = _imported("h5py", file)
    try:
        opened = h5py.File(file, "r")
    except OSError as error:
        raise ValueError(f"{file} is not a whole HDF5 file: {error}") from None
    found: dict[str, Any] = {}
    opened.visititems(lambda name, item: found.update({name: item}) if isinstance(item, h5py.Dataset) else None)
    return found


def _of_zarr(folder: str) -> dict[str, Any]:
    zarr = _imported("zarr", folder)
    try:
        opened = zarr.open(folder, mode="r")
    except Exception as error:  # each version has its own
        raise ValueError(f"{folder} holds no array or group of Zarr: {error}") from None
    return dict(_arrays(opened, "")) if hasattr(opened, "arrays") else {"": opened}


def _arrays(group: Any, before: str) -> Iterator[tuple[str, Any]]:
    for name, array in group.arrays():
        yield before + name, array
    for name, inner in group.groups():
        yield from _arrays(inner, f"{before}{name}/")


def _imported(library: str, file: str) -> Any:
    try:
        return __import__(library)
    except ImportError:
        raise ImportError(f"{file} needs {library}; write pip install 'pyinvnets[data]'") from None
