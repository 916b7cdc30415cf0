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
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..._warnings import warn
from .errors import FORKED, JuliaError, translated

if TYPE_CHECKING:
    from .engine import JuliaEngine


TESTED_VERSION = "2.3.1"
"""The version of InvertibleNetworks.jl that this engine was run and checked with."""

_lock = threading.RLock()

_engine: JuliaEngine | None = None

_pid: int | None = None

_options: dict[str, Any] = {"threads": None, "sysimage": None, "fast": True}

SETUP_HINT = "run `python -m pyinvnets setup`, or `python -m pyinvnets doctor` to see what is missing"


def init(*, threads: int | str | None = None, sysimage: str | os.PathLike | None = None, fast: bool = True) -> None:
    """Choose how Julia starts; call it before the Julia engine's first use.

    Args:
        threads: number of Julia threads, or `"auto"`.
        sysimage: path of a system image to start from. It must be made without PythonCall, which would start before
            juliacall can tell it where Python is, and so without InvertibleNetworks.jl, which needs it: one with
            Flux and CUDA is what can be had.
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
    if importlib.util.find_spec("juliacall") is None or importlib.util.find_spec("pywt") is None:
        return False
    found = installation()
    return found is not None and has_package(found[1], "InvertibleNetworks")


def installation() -> tuple[Path, Path] | None:
    """Julia's executable and project, from the environment variables or as juliapkg resolved them; else `None`."""
    executable, project = (os.environ.get(f"PYTHON_JULIACALL_{name}") for name in ("EXE", "PROJECT"))
    if executable and project:
        found = Path(executable), Path(project)
        return found if found[0].is_file() and found[1].is_dir() else None
    if executable or project or importlib.util.find_spec("juliapkg") is None:
        return None
    from juliapkg.deps import can_skip_resolve

    try:
        resolved = can_skip_resolve()
    except (OSError, ValueError, KeyError):
        return None
    return (Path(resolved["executable"]), Path(resolved["project"])) if resolved else None


def has_package(project: Path, name: str) -> bool:
    manifest = project / "Manifest.toml"
    return manifest.is_file() and f"[[deps.{name}]]" in manifest.read_text()


def _running() -> bool:
    juliacall = sys.modules.get("juliacall")
    return juliacall is not None and juliacall.CONFIG["inited"]


def start() -> JuliaEngine:
    """The engine, starting Julia at the first call.

    Raises:
        JuliaError: Julia or a package that it needs is missing, or this is a forked child of a process that used it.
    """
    global _engine, _pid
    with _lock:
        if _engine is not None:
            if _pid != os.getpid():
                raise JuliaError(FORKED)
            return _engine
        _check_installation()
        _set_environment()
        _engine, _pid = _start(), os.getpid()
        if not _options["fast"]:
            _engine.set_fast(False)
        return _engine


def _check_installation() -> None:
    if importlib.util.find_spec("juliacall") is None:
        raise JuliaError('the Julia engine needs the Python package juliacall; write `pip install "juliacall==0.9.34"`')
    if importlib.util.find_spec("pywt") is None:
        raise JuliaError(
            "JOLI.jl, which InvertibleNetworks.jl needs, imports the Python package pywt; write "
            "`pip install PyWavelets`"
        )
    if _running():
        return
    found = installation()
    if found is None:
        raise JuliaError(f"Julia is not set up for pyinvnets here; {SETUP_HINT}")
    if not has_package(found[1], "InvertibleNetworks"):
        raise JuliaError(f"the Julia project {found[1]} has no InvertibleNetworks; {SETUP_HINT}")


def _set_environment() -> None:
    """juliacall's settings, only where the user has not made them.

    Julia is to handle signals: its collector stops a thread, one that ends too, by a fault that it catches.
    """
    wanted = {"PYTHON_JULIAPKG_OFFLINE": "yes", "PYTHON_JULIACALL_HANDLE_SIGNALS": "yes"}
    if _options["threads"] is not None:
        wanted["PYTHON_JULIACALL_THREADS"] = str(_options["threads"])
    if _options["sysimage"] is not None:
        wanted["PYTHON_JULIACALL_SYSIMAGE"] = str(_options["sysimage"])
    for name, value in wanted.items():
        os.environ.setdefault(name, value)


_LOAD = """
FOLDER in LOAD_PATH || push!(LOAD_PATH, FOLDER)
any(depot -> isdir(joinpath(depot, "compiled", "v$(VERSION.major).$(VERSION.minor)", "PyInvNets")), DEPOT_PATH) ||
    println(stderr, "pyinvnets: precompiling its Julia side, about a minute, this once")
import PyInvNets
"""


def _start() -> JuliaEngine:
    with _pythons_signals():
        import juliacall

    from .engine import JuliaEngine

    jl = juliacall.Main
    try:
        jl.seval(_LOAD.replace("FOLDER", json.dumps(str(julia_folder())).replace("$", "\\$")))
        module = jl.PyInvNets
    except juliacall.JuliaError as error:
        cause = translated(error)
        raise JuliaError(f"the Julia engine did not load: {cause}; {SETUP_HINT}") from cause
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
