"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, where leftovers stay
    fcntl = None  # type: ignore[assignment]

_YOUNG = 60.0
"""Seconds for which a file without a lock may still be that of a process that has just made it."""


def check_writable(path: str | os.PathLike) -> None:
    """Raise where no file can come to be at `path`: an empty one is made beside it and removed again.

    Raises:
        FileNotFoundError: there is no folder for it.
        IsADirectoryError: it is a folder itself.
        OSError: the folder cannot be written to, or its disk is full.
    """
    place = _place(path)
    if _is_special(place):
        return
    with _said_of(path):
        descriptor, temporary = _new_file(place)
        try:
            os.write(descriptor, b"\0")
        finally:
            os.close(descriptor)
            os.unlink(temporary)


@contextlib.contextmanager
def replaced(path: str | os.PathLike) -> Iterator[str]:
    """The name of a file beside `path` to write to, which is moved there at the end, or removed after an error. So a
    crash leaves the old file whole. Permissions and owner of an old file stay, and of a symbolic link the file that it
    leads to is replaced. What is no ordinary file, such as a pipe, is written to itself.

    Raises:
        FileNotFoundError, IsADirectoryError: as `check_writable`.
        OSError: it cannot be written, or the disk is full; the message names `path`.
    """
    place = _place(path)
    with _said_of(path):
        if _is_special(place):
            yield str(place)
            return
        _remove_leftovers(place)
        descriptor, temporary = _new_file(place)
        try:
            try:
                yield temporary
                _take_over(place, temporary)
                _on_disk(temporary)
            finally:
                os.close(descriptor)
            os.replace(temporary, place)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        if fcntl is not None:
            _on_disk(place.parent)


def same_file(first: str | os.PathLike, second: str | os.PathLike) -> bool:
    """Whether two names are of one file, which need not exist yet."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return os.path.realpath(first) == os.path.realpath(second)


def _place(path: str | os.PathLike) -> Path:
    """Where a file is written, once symbolic links are followed."""
    place = Path(os.path.realpath(path))
    if not place.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {Path(path).parent} to write {Path(path).name} to; make it first")
    if place.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected a file's name")
    return place


def _is_special(path: Path) -> bool:
    return path.exists() and not path.is_file()


@contextlib.contextmanager
def _said_of(path: str | os.PathLike) -> Iterator[None]:
    """An error of the system names the file that was to be written, as it was given, not the one beside it."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


# The file beside


def _new_file(path: Path) -> tuple[int, str]:
    """A new file beside `path`, whose lock says that somebody writes to it.

    Its permissions are those of any new file; of one that takes the place of another, which may be secret, nobody's but
    the owner's until it has the other's.
    """
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600 if path.exists() else 0o666)
    if fcntl is not None:
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor, str(temporary)


def _remove_leftovers(path: Path) -> None:
    """Remove what processes that were killed left beside `path`."""
    if fcntl is None:
        return
    pattern = re.compile(rf"\.{re.escape(path.name)}-[0-9a-f]{{8}}")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if pattern.fullmatch(entry.name):
                with contextlib.suppress(OSError):  # another process may have removed it just now
                    _remove_unlocked(entry.path)


def _remove_unlocked(leftover: str) -> None:
    if time.time() - os.stat(leftover).st_mtime < _YOUNG:
        return
    descriptor = os.open(leftover, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(leftover)
    finally:
        os.close(descriptor)


def _take_over(path: Path, temporary: str) -> None:
    """Give the new file the permissions and, where that is allowed, the owner of the old one."""
    with contextlib.suppress(FileNotFoundError):
        old = path.stat()
        if hasattr(os, "chown"):
            with contextlib.suppress(OSError):
                os.chown(temporary, old.st_uid, old.st_gid)
        os.chmod(temporary, stat.S_IMODE(old.st_mode))


def _on_disk(path: str | os.PathLike) -> None:
    """Wait until a file or folder is on the disk; a name that outlives a power cut without its content is no use."""
    descriptor = os.open(path, os.O_RDONLY if os.path.isdir(path) else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(descriptor)
