"""Where a command reads and writes: checked before it starts, and another place where a disk takes no more."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from ..storage.files import check_writable, same_file

Paths = Mapping[str, str | os.PathLike | None]
"""Files by the argument that names them, `None` where it is not given."""


def check(reads: Paths, writes: Paths, *, overwrite: bool, goes_on: str | os.PathLike | None = None) -> None:
    """Raise where a command would lose a file, or find out at its end that it cannot write one.

    Args:
        reads: what is read.
        writes: what is written.
        overwrite: whether what exists may be replaced.
        goes_on: a file that is read and then written to, on purpose.

    Raises:
        ValueError: two are the same file; one exists and may not be replaced.
        OSError: one cannot be written.
    """
    files = {name: path for name, path in writes.items() if path is not None}
    for (first, path), (second, other) in itertools.combinations(files.items(), 2):
        if _is_ordinary(path) and same_file(path, other):
            raise ValueError(f"{first} and {second} are the same file, {path}; give each a file of its own")
    for name, path in files.items():
        wanted = goes_on is not None and same_file(path, goes_on)
        for read, source in reads.items():
            if source is not None and _is_ordinary(path) and same_file(path, source) and not wanted:
                raise ValueError(f"{name} would overwrite {read}, {path}; give it a file of its own")
        if os.path.isfile(path) and not overwrite and not wanted:
            raise ValueError(f"{path} exists and is kept; write --overwrite to replace it, or another file for {name}")
        check_writable(path)


def _is_ordinary(path: str | os.PathLike) -> bool:
    """Whether it is, or would be, a file that holds something, unlike /dev/null."""
    return os.path.isfile(path) or not os.path.exists(path)


def beside(path: Path, word: str) -> Path:
    """A free name beside a file, such as `weights-stopped.safetensors`, or `weights-2.safetensors` without a word."""
    numbers = range(2, 10_000)
    ends = [word, *(f"{word}{number}" for number in numbers)] if word else numbers
    names = (path.with_name(f"{path.stem}-{end}{path.suffix}") for end in ends)
    return next(name for name in names if not name.exists())


def written(write: Callable[[Path], None], path: Path) -> tuple[Path, OSError | None]:
    """Write a file, in another folder where the disk takes no more.

    Returns:
        Where it is, and what kept it from its own place.

    Raises:
        OSError: it can be written nowhere.
    """
    try:
        write(path)
        return path, None
    except OSError as error:
        for folder in (tempfile.gettempdir(), "/dev/shm", Path.home(), "."):
            with contextlib.suppress(OSError):
                return _written_in(Path(folder), write, path.name), error
        raise


def _written_in(folder: Path, write: Callable[[Path], None], name: str) -> Path:
    own = Path(tempfile.mkdtemp(prefix="pyinvnets-", dir=folder))
    try:
        write(own / name)
    except OSError:
        own.rmdir()
        raise
    return own / name


def reason(error: OSError) -> str:
    """An error of the system in words, with the file."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
