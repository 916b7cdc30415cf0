"""The Julia that `python -m pyinvnets setup --julia … --project …` was told of, in the user's configuration."""

from __future__ import annotations

import json
import os
from pathlib import Path

import platformdirs

from .errors import JuliaError


def file() -> Path:
    return platformdirs.user_config_path("pyinvnets", appauthor=False) / "julia.json"


def remember(**paths: Path | None) -> None:
    """Write the paths, all at once or not at all."""
    target = file()
    target.parent.mkdir(parents=True, exist_ok=True)
    written = target.with_name(f"{target.name}.{os.getpid()}")
    written.write_text(json.dumps({name: str(path) for name, path in paths.items() if path}, indent=2) + "\n")
    written.replace(target)


def remembered() -> dict[str, str]:
    """The paths by name; none where nothing was remembered.

    Raises:
        JuliaError: the file cannot be read.
    """
    try:
        paths = json.loads(file().read_text())
        return {"executable": paths["executable"], "project": paths["project"], **paths}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise JuliaError(
            f"{file()} cannot be read ({error}); `python -m pyinvnets setup --forget` removes it"
        ) from error


def forget() -> None:
    file().unlink(missing_ok=True)
