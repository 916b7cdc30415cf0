"""Where the compiled PyInvNets lies: one place for each copy of pyinvnets.

Julia names a compiled package by the project that it was compiled in, so two copies that share a project would
overwrite each other's, for more than a minute at every switch.
"""

from __future__ import annotations

import getpass
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import platformdirs


def own_depots(depots: Sequence[Path], folder: Path) -> list[Path]:
    """Depots of this copy's own, to stand before Julia's; the first is the one that is written to.

    Args:
        depots: Julia's depots. Where the first cannot be written, as on a cluster's nodes, the user's cache is taken,
            behind it what was compiled into the depots.
        folder: where this copy's PyInvNets lies.
    """
    name = Path("pyinvnets", hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12])
    written = next((depot for depot in (depots[0], *_elsewhere()) if _can_be_written(depot)), depots[0]) / name
    return [written, *(depot / name for depot in depots if depot / name != written and (depot / name).is_dir())]


def _elsewhere() -> tuple[Path, Path]:
    user = platformdirs.user_cache_path("pyinvnets", appauthor=False) / "julia"
    return user, Path(tempfile.gettempdir(), f"pyinvnets-{getpass.getuser()}")


def _can_be_written(folder: Path) -> bool:
    """Whether it can, or could once it is made."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return os.access(there, os.W_OK | os.X_OK)
