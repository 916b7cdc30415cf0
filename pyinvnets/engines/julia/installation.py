"""Which Julia would be started, and whether its project has what it needs: found out without starting it.

A project is trusted by the contents of the `juliapkg.json` files that it was resolved for, wherever those lie: a
checkout and an installed copy ask for the same.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from . import settings
from .errors import JuliaError

SETUP_HINT = "run `python -m pyinvnets setup`, or `python -m pyinvnets doctor` to see what is missing"
REQUIREMENTS = Path(__file__).parents[2] / "juliapkg.json"
ONLY_FOR_GPUS = {"cuDNN"}
JULIAPKG = "juliapkg"


@dataclass(frozen=True)
class Installation:
    """A Julia and its project, and who named them; where libjulia and Julia's own programs lie, if that is known."""

    executable: Path
    project: Path
    origin: str
    library: Path | None = None
    bindir: Path | None = None

    @property
    def is_juliapkgs(self) -> bool:
        return self.origin == JULIAPKG


def find() -> Installation:
    """The Julia of the environment variables, else the remembered one, else the one that juliapkg resolved.

    Raises:
        JuliaError: there is none; the message says what is missing.
    """
    found = named() or _by_juliapkg()
    if found is None:
        raise JuliaError(f"Julia is not set up for pyinvnets here; {SETUP_HINT}")
    return found


def named() -> Installation | None:
    """The Julia that the user named, by the environment variables or to `setup`; nothing is installed into it."""
    return in_environment() or _remembered()


def is_complete() -> bool:
    """Whether there is a Julia, and its project has what the engine needs."""
    try:
        check_packages(find())
    except JuliaError:
        return False
    return True


def check_packages(found: Installation) -> None:
    """Refuse a project that the engine could not be loaded from.

    Raises:
        JuliaError: packages are missing, or PythonCall is not of juliacall's version.
    """
    versions = package_versions(found.project)
    missing = [name for name in needed_packages() if name not in versions]
    if missing:
        raise JuliaError(f"the Julia project {found.project} has no {', '.join(missing)}; {_mend(found, missing)}")
    juliacall = importlib.metadata.version("juliacall")
    if versions["PythonCall"] != juliacall:
        raise JuliaError(
            f"the Julia project {found.project} has PythonCall {versions['PythonCall']}, which works with juliacall of "
            f"that version only, and {juliacall} is installed; {_mend(found, ['PythonCall'])}"
        )


def _mend(found: Installation, names: list[str]) -> str:
    if found.is_juliapkgs:
        return SETUP_HINT
    command = [str(found.executable), f"--project={found.project}", "-e", _adding(names)]
    return f"write `{shlex.join(command)}`"


def _adding(names: list[str]) -> str:
    """The Julia code that adds packages to a project, in the versions that pyinvnets asks for."""
    packages = requirements()["packages"]
    packages["PythonCall"] = {"version": importlib.metadata.version("juliacall")}
    specs = []
    for name in names:
        keys = [f'{key}="{packages[name][key]}"' for key in ("url", "rev", "version") if key in packages[name]]
        name_first = ", ".join([f'name="{name}"', *keys])
        specs.append(f"Pkg.PackageSpec(; {name_first})")
    return f"import Pkg; Pkg.add([{', '.join(specs)}])"


def requirements() -> dict:
    """The versions of Julia and the packages that pyinvnets asks of juliapkg."""
    return json.loads(REQUIREMENTS.read_text())


def needed_packages() -> list[str]:
    """The packages without which the engine does not load."""
    return [name for name in requirements()["packages"] if name not in ONLY_FOR_GPUS] + ["PythonCall"]


def package_versions(project: Path) -> dict[str, str]:
    """The packages in a project's manifest with their versions; those of Julia's standard library may have none."""
    manifest = project / "Manifest.toml"
    sections = manifest.read_text().split("[[deps.")[1:] if manifest.is_file() else []
    versions = {}
    for section in sections:
        version = re.search(r'^version = "([^"]+)"', section, re.MULTILINE)
        versions[section.split("]]", 1)[0]] = version[1] if version else ""
    return versions


def in_environment() -> Installation | None:
    executable, project = (os.environ.get(f"PYTHON_JULIACALL_{name}") for name in ("EXE", "PROJECT"))
    if not executable and not project:
        return None
    if not executable or not project:
        given, other = ("EXE", "PROJECT") if executable else ("PROJECT", "EXE")
        raise JuliaError(f"PYTHON_JULIACALL_{given} is set and PYTHON_JULIACALL_{other} is not; set both, or none")
    return located(executable, project, "PYTHON_JULIACALL_EXE and PYTHON_JULIACALL_PROJECT")


def _remembered() -> Installation | None:
    paths = settings.remembered()
    if not paths:
        return None
    origin = f"{settings.file()}, which `python -m pyinvnets setup --forget` removes"
    library, bindir = (Path(paths[name]) if name in paths else None for name in ("library", "bindir"))
    known = library is not None and library.is_file()  # it moves where Julia is updated in place
    found = located(paths["executable"], paths["project"], origin)
    return replace(found, library=library, bindir=bindir) if known else found


def located(executable: str, project: str, origin: str) -> Installation:
    """The Julia and the project at these paths.

    Raises:
        JuliaError: one of them is not there.
    """
    program = shutil.which(executable)
    if program is None:
        raise JuliaError(f"{executable} is no program, but is Julia according to {origin}")
    if not Path(project).is_dir():
        raise JuliaError(f"{project} is no folder, but is Julia's project according to {origin}")
    return Installation(Path(program).absolute(), Path(project).absolute(), origin)


def _by_juliapkg() -> Installation | None:
    """What juliapkg resolved here for all packages that are visible, its own notes read without its lock.

    Its public functions would begin to install where something is missing, and need to write to the project.
    """
    if importlib.util.find_spec("juliapkg") is None:
        return None
    try:
        from juliapkg.deps import deps_files, load_meta
        from juliapkg.state import STATE

        notes = load_meta()
        if notes is None or STATE["override_executable"] not in (None, notes["executable"]):
            return None
        resolved = {file["hash_sha256"] for file in notes["deps_files"].values()}
        if any(hashlib.sha256(Path(file).read_bytes()).hexdigest() not in resolved for file in deps_files()):
            return None
        if shutil.which(notes["executable"]) is None:
            return None
        paths = (Path(notes[name]) if name in notes else None for name in ("libjulia", "bindir"))  # not in older ones
        return Installation(Path(notes["executable"]), Path(STATE["project"]), JULIAPKG, *paths)
    except Exception as error:  # its notes cannot be read, or a setting of it is wrong: it raises bare Exceptions
        raise JuliaError(f"what juliapkg set up cannot be read ({error}); {SETUP_HINT}") from error
