"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def check_writable(path: str | os.PathLike) -> None:
    """Raise where no file can come to be at `path`.

    Raises:
        FileNotFoundError: there is no folder for it.
        IsADirectoryError: it is a folder itself.
    """
    path = Path(path)
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} to write {path.name} to; make it first")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file's name")


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[str]:
    """The name of a file beside `path` to write to, which is moved there at the end, or removed after an error. So a
    crash leaves the old file whole. What is no ordinary file, such as a pipe, is written to itself.

    Raises:
        FileNotFoundError, IsADirectoryError: as `check_writable`.
    """
    check_writable(path)
    path = Path(path)
    if path.exists() and not path.is_file():
        yield str(path)
        return
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(descriptor)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
