"""Julia and its packages, installed by juliapkg; whatever stops it is told in its own words."""

from __future__ import annotations

import contextlib
import errno
import re
import shutil
import signal
import subprocess
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

from . import installation
from .errors import JuliaError
from .overhear import overheard

AGAIN = "What is done is kept: mend this, and run `python -m pyinvnets setup` again"


def resolve() -> None:
    """Install what is missing, with Pkg's progress on standard error. One process at a time; a second one waits.

    Raises:
        JuliaError: something could not be installed; the message says why.
    """
    said: Callable[[], str] = str
    try:
        from juliapkg.state import STATE

        project, julia = Path(STATE["project"]), Path(STATE["install"])
        project.mkdir(parents=True, exist_ok=True)
        with _alone(project), overheard() as said:
            _resolve(project, julia)
    except Exception as error:  # juliapkg raises bare Exceptions
        raise JuliaError(f"Julia and its packages could not be installed: {cause(error, said())}. {AGAIN}") from error


@contextlib.contextmanager
def _alone(project: Path) -> Iterator[None]:
    """Hold a lock of our own, which juliapkg's does not take the place of: what an interrupted setup left is ours."""
    import filelock

    lock = filelock.FileLock(project / "pyinvnets-setup.lock")
    try:
        lock.acquire(timeout=1)
    except filelock.Timeout:
        print(f"Waiting for another setup of {project} to end", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _resolve(project: Path, julia: Path) -> None:
    import juliapkg

    begun = project / "pyinvnets-begun"
    if _cut_off(begun, project):
        shutil.rmtree(julia, ignore_errors=True)
    if not julia.exists():
        begun.touch()
    juliapkg.resolve()
    if not installation.is_complete():  # juliapkg goes by its notes, which an interrupted update leaves behind
        juliapkg.resolve(force=True)
    begun.unlink(missing_ok=True)


def _cut_off(begun: Path, project: Path) -> bool:
    """Whether an earlier setup ended while it installed Julia itself: juliapkg writes Project.toml after that."""
    written = project / "Project.toml"
    return begun.exists() and not (written.exists() and written.stat().st_mtime_ns >= begun.stat().st_mtime_ns)


def cause(error: Exception, said: str = "") -> str:
    """Why it failed, in a sentence without its full stop; `said` is what was on standard error meanwhile."""
    if isinstance(error, urllib.error.HTTPError):
        return f"{error.url} answers {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return f"there is no network, or no way through it ({error.reason})"
    if isinstance(error, subprocess.CalledProcessError):
        return _end_of_julia(error.returncode, said)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full{_at(error)}"
    if isinstance(error, OSError):
        return f"{error.strerror or error}{_at(error)}"
    return str(error).rstrip(".") or type(error).__name__


def _at(error: OSError) -> str:
    return f", at {error.filename}" if error.filename else ""


def _end_of_julia(status: int, said: str) -> str:
    if status == -signal.SIGKILL:
        return "Julia was killed, as it is where memory runs out"
    if status < 0:
        return f"Julia was ended by {signal.Signals(-status).name}"
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said).replace("\r", "\n")
    errors = re.findall(r"ERROR: (.+?)(?=\n\s*(?:Stacktrace|caused by)|\nERROR: |\Z)", plain, re.DOTALL)
    if not errors:
        return f"Julia ended with status {status} and said nothing but what is above"
    return "Julia says: " + " ".join(errors[-1].split())[:600].rstrip(".")
