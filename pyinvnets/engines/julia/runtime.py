"""Starting Julia: lazily, once, under a lock."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._warnings import warn
from . import image, installation
from .beside_torch import warned_where_it_matters
from .caches import own_depots
from .errors import FORKED, JuliaError, translated
from .installation import SETUP_HINT, Installation
from .versions import TRIED, is_tried_julia

if TYPE_CHECKING:
    from .engine import JuliaEngine

TESTED_VERSION = TRIED["InvertibleNetworks"][-1]

_lock = threading.RLock()

_engine: JuliaEngine | None = None

_pid: int | None = None

_options: dict[str, Any] = {"threads": None, "sysimage": None, "fast": True}


def init(*, threads: int | str | None = None, sysimage: str | os.PathLike | None = None, fast: bool = True) -> None:
    """Choose how Julia starts; call it before the Julia engine's first use.

    Args:
        threads: number of Julia threads, or `"auto"`; one if nothing else is said. They share out the samples of
            large batches, and matrix products have one thread meanwhile.
        sysimage: path of a system image to start from, in place of the one that `python -m pyinvnets setup
            --system-image` builds and that is used where it fits. With PythonCall in it, it needs juliacall 0.9.37.
        fast: whether the batched methods of the Julia package PyInvNets replace upstream's slow ones. They give the
            same numbers. This can be changed at any time.

    Raises:
        FileNotFoundError: there is no such system image.
        RuntimeError: Julia runs already, with other threads or another system image.
        ValueError: threads is no positive number.
    """
    if threads is not None and threads != "auto" and (not isinstance(threads, int) or threads < 1):
        raise ValueError(f'init: threads must be a positive integer or "auto", got {threads!r}')
    if sysimage is not None:
        sysimage = Path(sysimage).absolute()
        if not sysimage.is_file():
            raise FileNotFoundError(f"init: there is no system image at {sysimage}")
    with _lock:
        for name, value in (("threads", threads), ("sysimage", sysimage)):
            if _running() and value is not None and value != _options[name]:
                raise RuntimeError(f"init: Julia runs already, so {name}={value!r} comes too late; call init first")
            if value is not None:
                _options[name] = value
        _options["fast"] = bool(fast)
        if _engine is not None:
            _engine.set_fast(_options["fast"])


def julia_folder() -> Path:
    """The folder on Julia's load path in which the Julia package PyInvNets lies."""
    return Path(__file__).parent


def ready() -> bool:
    """Whether Julia could start now without downloading anything, found out without starting it."""
    if _engine is not None:
        return _pid == os.getpid()
    try:
        _check_python()
    except JuliaError:
        return False
    return installation.is_complete()


def _running() -> bool:
    juliacall = sys.modules.get("juliacall")
    return juliacall is not None and juliacall.CONFIG["inited"]


def start(found: Installation | None = None) -> JuliaEngine:
    """The engine, starting Julia at the first call.

    Args:
        found: the Julia to start, by default the one that `installation.find` finds.

    Raises:
        JuliaError: Julia or a package that it needs is missing, or this is a forked child of a process that used it.
    """
    global _engine, _pid
    with _lock:
        if _engine is not None:
            if _pid != os.getpid():
                raise JuliaError(FORKED)
            return _engine
        _check_python()
        _engine, _pid = _start(None if _running() else found or _usable()), os.getpid()
        if not _options["fast"]:
            _engine.set_fast(False)
        return _engine


def _check_python() -> None:
    if importlib.util.find_spec("juliacall") is None:
        newest = f"juliacall=={TRIED['juliacall'][-1]}"
        raise JuliaError(f"the Julia engine needs the Python package juliacall; write `pip install {newest}`")
    if importlib.util.find_spec("pywt") is None:
        raise JuliaError(
            "JOLI.jl, which InvertibleNetworks.jl needs, imports the Python package pywt; write "
            "`pip install PyWavelets`"
        )


def _usable() -> Installation:
    """The Julia that was found, with all that the engine needs; else a `JuliaError` that says what is missing."""
    found = installation.find()
    installation.check_packages(found)
    return found


def _set_options() -> None:
    """juliacall's settings, only where the user has not made them; processes started later inherit them.

    Julia is to handle signals: its collector stops a thread, one that ends too, by a fault that it catches.
    """
    wanted = {"PYTHON_JULIACALL_HANDLE_SIGNALS": "yes"}
    if _options["threads"] is not None:
        wanted["PYTHON_JULIACALL_THREADS"] = str(_options["threads"])
    if _options["sysimage"] is not None:
        wanted["PYTHON_JULIACALL_SYSIMAGE"] = str(_options["sysimage"])
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def _location(found: Installation) -> Iterator[None]:
    """Where Julia is, told to juliacall by its environment variables while it is imported.

    With an executable and a project it leaves juliapkg alone, which would take a lock, write to the project and
    perhaps install; knowing its library too, newer ones start no other Julia to ask.
    """
    told = {"EXE": found.executable, "PROJECT": found.project, "LIB": found.library, "BINDIR": found.bindir}
    if not os.environ.get("PYTHON_JULIACALL_SYSIMAGE"):
        told["SYSIMAGE"] = image.usable(found)
    before = {name: os.environ.get(name) for name in (f"PYTHON_JULIACALL_{key}" for key in told)}
    _set_environment(
        {name: before[name] or (str(path) if path else None) for name, path in zip(before, told.values(), strict=True)}
    )
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _load(jl: Any) -> Any:
    """The Julia package PyInvNets, compiled first where it is new."""
    folder = julia_folder()
    depots = own_depots([Path(depot) for depot in str(jl.seval("join(DEPOT_PATH, '\\n')")).split("\n")], folder)
    jl.seval(Path(__file__).with_name("load.jl").read_text())
    told = ", ".join(_literal(str(depot)) for depot in depots)
    jl.seval(f"LoadPyInvNets.load({_literal(str(folder))}, String[{told}])")
    return jl.seval("import PyInvNets; PyInvNets")


def _literal(text: str) -> str:
    """The text as Julia code; to pass it as an argument would have Julia compile for it at every start."""
    return json.dumps(text).replace("$", "\\$")


def _start(found: Installation | None) -> JuliaEngine:
    """The engine in the Julia that was found, or in the one that runs already."""
    _set_options()
    with _location(found) if found else contextlib.nullcontext(), _pythons_signals(), warned_where_it_matters():
        try:
            import juliacall
        except Exception as error:  # juliacall raises bare Exceptions, asserts, and what its subprocess failed by
            said = getattr(error, "stderr", None) or str(error) or type(error).__name__
            raise JuliaError(f"Julia did not start: {said.strip()}; {SETUP_HINT}") from error

    from .engine import JuliaEngine

    jl = juliacall.Main
    try:
        module = _load(jl)
    except juliacall.JuliaError as error:
        cause = translated(error)
        raise JuliaError(f"the Julia engine did not load: {cause}; {SETUP_HINT}") from cause
    check_julia(str(jl.seval("string(VERSION)")))
    check_version(str(module.upstream_version()))
    engine = JuliaEngine(module)
    engine.bridge.rest()
    return engine


@contextlib.contextmanager
def _pythons_signals() -> Iterator[None]:
    """Put back what Julia takes as it starts: the signals that Python handles, Ctrl-C first, and those not blocked.

    This is done below Python, whose own `signal` works in the main thread only, while Julia may start in any.
    """
    if os.name != "posix":
        yield
        return
    system = ctypes.CDLL(None)
    handled = {n for n in signal.valid_signals() if n == signal.SIGINT or callable(signal.getsignal(n))}
    actions = {number: ctypes.create_string_buffer(1024) for number in handled}  # a sigaction of any system
    for number, action in actions.items():
        system.sigaction(number, None, action)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        for number, action in actions.items():
            system.sigaction(number, action, None)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def check_version(found: str) -> None:
    """Warn where InvertibleNetworks.jl is not the version that this engine was checked with."""
    if found != TESTED_VERSION:
        warn(
            f"this is InvertibleNetworks.jl {found}; pyinvnets was checked with {TESTED_VERSION} only, and "
            "`python -m pyinvnets setup` installs that",
            UserWarning,
        )


def check_julia(version: str) -> None:
    """Warn where Julia is of another minor version than those that this engine was tried with."""
    if not is_tried_julia(version):
        tried = " and ".join(TRIED["Julia"])
        warn(f"this is Julia {version}; pyinvnets was tried with {tried} only", UserWarning)


def library() -> tuple[Path, Path]:
    """Where libjulia and the programs of the Julia that runs lie."""
    import juliacall

    return Path(juliacall.CONFIG["libpath"]), Path(str(juliacall.Main.seval("Sys.BINDIR")))
