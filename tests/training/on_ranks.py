"""What test_ranks.py runs on one, two and four ranks; each case gives what is to be the same on any number of them.

`python on_ranks.py FOLDER ENGINE CASE…` under mpirun: every rank writes its results to FOLDER.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import warnings
from pathlib import Path

import numpy as np

import pyinvnets as inv
from pyinvnets.training.losses import MaximumLikelihood

ENGINE = "numpy"
COMM = None
FOLDER = Path()


def rank() -> int:
    return COMM.Get_rank() if COMM else 0


def size() -> int:
    return COMM.Get_size() if COMM else 1


def banana(n: int = 168, dtype: str = "float64") -> np.ndarray:
    return inv.sample_banana(n, seed=1, engine="numpy").astype(dtype)


def glow(dtype: str = "float64", K: int = 3) -> inv.NetworkGlow:
    """Other weights on every rank, which begin with those of the first."""
    return inv.NetworkGlow(2, 8, 1, K, engine=ENGINE, seed=1 + rank()).astype(dtype)


def fit(G, X, *arguments, **given):
    settings = {"epochs": 3, "batch_size": 50, "learning_rate": 5e-3, "seed": 3, "progress": False} | given
    return inv.fit(G, X, *arguments, **settings, comm=COMM)


def result(G, history) -> dict:
    return {
        "weights": np.concatenate([p.data.ravel(order="F") for p in inv.get_params(G)]),
        "objective": history.objective,
        "validation": history.validation,
        "samples": history.samples,
        "dimensions": history.dimensions,
        "stopped": history.stopped,
    }


class On(MaximumLikelihood):
    """Maximum likelihood, but something happens at an update on the last rank alone."""

    def __init__(self, happens, update: int = 5) -> None:
        self.happens, self.left = happens, update

    def evaluate(self, network, batch):
        self.left -= 1
        if self.left == 0 and rank() == size() - 1:
            return self.happens(super().evaluate(network, batch))
        return super().evaluate(network, batch)


# What gives the same weights


def with_all(dtype: str = "float64") -> dict:
    """Noise, clipping and patience, from a fresh network; the last batch has fewer samples than there are ranks."""
    G = glow(dtype)
    optimizer = inv.Adam if dtype == "float64" else inv.SGD
    return result(G, fit(G, banana(168, dtype), epochs=9, noise=0.05, clip_norm=2.0, patience=1, optimizer=optimizer))


def in_float32() -> dict:
    return with_all("float32")


def resumed() -> dict:
    path = FOLDER / f"resumed-{size()}.ckpt"
    fit(glow(), banana(), epochs=2, checkpoint=path, noise=0.05)
    G = glow()
    return result(G, fit(G, banana(), epochs=4, resume=path, noise=0.05))


def conditional() -> dict:
    """With a condition, and a channel that is the same in the whole first batch."""
    rng = np.random.default_rng(0)
    X, C = rng.standard_normal((101, 4, 1, 1)).T, rng.standard_normal((101, 3, 1, 1)).T
    X[0, 0, 0, 3:] = 1.0
    G = inv.NetworkConditionalGlow(4, 3, 8, 1, 2, engine=ENGINE, seed=1).astype("float64")
    return result(G, fit(G, X, C, batch_size=10))


def streamed() -> dict:
    X = banana(97)
    G = glow()
    return result(G, fit(G, [X[..., :40], X[..., 40:80], X[..., 80:]], validation=X[..., :17], batch_size=None))


class Slices:
    """Samples on the first axis that are read by slices alone, as those of a file."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype, self.chunks = array, array.shape, array.dtype, (8, *array.shape[1:])

    def __getitem__(self, part):
        return self._array[part]


def stored() -> dict:
    G = glow()
    return result(G, fit(G, Slices(banana().T), noise=0.05))


def callback() -> dict:
    called = []

    def two_epochs(G, history):
        called.append(history.epochs)
        return history.epochs == 2

    G = glow()
    history = fit(G, banana(), callback=two_epochs)
    assert called == ([1, 2] if rank() == 0 else [])
    return result(G, history)


# What ends all


def _ends_with(happens, **given) -> dict:
    G = glow()
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", RuntimeWarning)
            history = fit(G, banana(), objective=On(happens), **given)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "told": getattr(error, "told_by", None)}
    return result(G, history) | {"warned": len(warned)}


def nan() -> dict:
    def not_finite(evaluation):
        return type(evaluation)(float("nan"), *list(vars(evaluation).values())[1:])

    return _ends_with(not_finite)


def exception() -> dict:
    def fails(evaluation):
        raise LookupError("this rank has had enough")

    return _ends_with(fails)


def exception_in_gradients() -> dict:
    def fails():
        raise LookupError("no gradients here")

    return _ends_with(lambda evaluation: type(evaluation)(*list(vars(evaluation).values())[:-1], fails))


def interrupted() -> dict:
    def interrupt(evaluation):
        os.kill(os.getpid(), signal.SIGINT)
        return evaluation

    return _ends_with(interrupt)


def other_arguments() -> dict:
    return _ends_with(None, batch_size=50 + rank())


def other_samples() -> dict:
    try:
        fit(glow(), banana() + rank())
    except ValueError as error:
        return {"error": str(error)}
    return {}


def bad_samples() -> dict:
    X = banana()
    if rank() == size() - 1:
        X[..., 7] = np.nan
    try:
        fit(glow(), X)
    except ValueError as error:
        return {"error": str(error)}
    return {}


def full_disk() -> dict:
    """Rank 0 cannot write its checkpoint."""
    folder = FOLDER / f"folder-{size()}"
    if rank() == 0:
        folder.mkdir()
    fit_alone = On(lambda evaluation: (folder.rmdir() if folder.is_dir() else None, evaluation)[1])
    if COMM:
        COMM.Barrier()
    try:
        fit(glow(), banana(), checkpoint=folder / "ckpt", objective=fit_alone)
    except OSError as error:
        return {"error": type(error).__name__}
    return {}


SAME = (with_all, in_float32, resumed, conditional, streamed, stored, callback)
ENDS = (
    nan, exception, exception_in_gradients, interrupted, other_arguments, other_samples, bad_samples, full_disk,
)  # fmt: skip
CASES = {case.__name__: case for case in (*SAME, *ENDS)}


def run(folder: Path, engine: str, comm, names) -> dict:
    global FOLDER, ENGINE, COMM
    FOLDER, ENGINE, COMM = folder, engine, comm
    return {name: CASES[name]() for name in names}


if __name__ == "__main__":
    from mpi4py import MPI

    signal.signal(signal.SIGINT, signal.default_int_handler)
    results = run(Path(sys.argv[1]), sys.argv[2], MPI.COMM_WORLD, sys.argv[3:])
    with (FOLDER / f"{size()}-{rank()}.pickle").open("wb") as file:
        pickle.dump(results, file)
