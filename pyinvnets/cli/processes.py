"""The processes that a launcher of MPI, such as `mpirun` or `srun`, started this command as."""

from __future__ import annotations

import os
from typing import Any

SIZES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_NUM_TASKS")
"""Where Open MPI, MPICH and Intel MPI, and Slurm say how many there are."""


def world() -> Any | None:
    """All of them, as a communicator of mpi4py; `None` where there is one.

    Raises:
        RuntimeError: there are several, but no mpi4py, or one that does not know of them: each would do all the work,
            and all write the same files.
    """
    started = max(int(os.environ.get(name, "1")) for name in SIZES)
    if started == 1:
        return None
    try:
        from mpi4py import MPI
    except ImportError:
        raise RuntimeError(
            f"{started} processes were started, which need mpi4py; write pip install 'pyinvnets[mpi]'"
        ) from None
    if MPI.COMM_WORLD.Get_size() == 1:
        raise RuntimeError(
            f"{started} processes were started, but mpi4py knows of one: its MPI is not the launcher's. Build mpi4py "
            "with that MPI (pip install --no-binary mpi4py mpi4py), or name it to the launcher, as in srun --mpi=pmix"
        )
    return MPI.COMM_WORLD
