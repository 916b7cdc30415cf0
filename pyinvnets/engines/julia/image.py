"""The system image of a Julia project: Julia with the packages loaded already, for a faster start.

It lies in a folder of the project, beside notes of what it was built from, and is used where these are the same.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import re
import sys
from pathlib import Path

from .installation import Installation

BUILD = "`python -m pyinvnets setup --system-image` builds one that does"
SOURCES = Path(__file__).parent / "PyInvNets"


def folder(found: Installation) -> Path:
    return found.project / "pyinvnets-image"


def path(found: Installation) -> Path:
    return folder(found) / {"darwin": "image.dylib", "win32": "image.dll"}.get(sys.platform, "image.so")


def usable(found: Installation) -> Path | None:
    """The image, where there is one and it fits; where it does not, a line on standard error says why."""
    if not path(found).is_file():
        return None
    changed = misfit(found)
    if changed:
        print(f"pyinvnets: the system image does not fit, since {changed}; {BUILD}", file=sys.stderr)
        return None
    return path(found)


def misfit(found: Installation) -> str | None:
    """Why the image does not fit."""
    try:
        then = json.loads(_notes(found).read_text())
    except (OSError, ValueError):
        return "it is not known what it was built from"
    now = ingredients(found)
    changed = [name for name in now if then.get(name) not in (now[name], ANY)]
    return f"{' and '.join(changed)} changed since it was built" if changed else None


def note(found: Installation) -> None:
    """Write down what the image was built from."""
    _notes(found).write_text(json.dumps(ingredients(found), indent=2) + "\n")


def _notes(found: Installation) -> Path:
    return folder(found) / "image.json"


ANY = "any"
"""Of the processor, where `JULIA_CPU_TARGET` names those that are compiled for."""


def ingredients(found: Installation) -> dict[str, str]:
    """What an image depends on, by the name that a message has for it."""
    sources = sorted(path for path in SOURCES.rglob("*") if path.suffix in (".jl", ".toml"))
    return {
        "Julia": _julia(found),
        "its packages": _digest(found.project / "Manifest.toml"),
        "juliacall": importlib.metadata.version("juliacall"),
        "pyinvnets": _digest(*sources),
        "the processor": ANY if os.environ.get("JULIA_CPU_TARGET") else _processor(),
    }


def _julia(found: Installation) -> str:
    """The executable, and the names of the libraries beside it, which hold the version down to the patch."""
    executable = found.executable.resolve()
    libraries = sorted({library.resolve().name for library in (executable.parents[1] / "lib").glob("libjulia.*")})
    return " ".join([str(executable), *libraries])


def _digest(*files: Path) -> str:
    contents = b"".join(file.read_bytes() for file in files)
    return hashlib.sha256(contents).hexdigest()


def _processor() -> str:
    """The kind of processor and what it can do, which an image compiled for it relies on."""
    described = Path("/proc/cpuinfo")
    kinds = re.findall(r"^(?:model name|flags)\s*: (.*)$", described.read_text(), re.M) if described.is_file() else []
    return hashlib.sha256(" ".join([platform.machine(), platform.processor(), *kinds[:2]]).encode()).hexdigest()
