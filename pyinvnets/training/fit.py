"""`fit`: training of any network, by maximum likelihood on samples or for another objective."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..arrays.scalars import as_python, is_integer, is_real
from ..networks.base.layer import Layer
from ..networks.base.wrapper import Wrapper
from ..storage.files import check_writable
from .checkpoints import read_checkpoint
from .data import BATCH_SIZE, Data, drawn_data, training_data
from .history import History
from .loop import _Course, _Training
from .losses import MaximumLikelihood, Objective, named
from .optimisers import Adam, Optimiser
from .ranks import ranks_of

UPDATES_PER_EPOCH = 100
"""Where none are given."""

Batches = Iterable[np.ndarray | tuple[np.ndarray, np.ndarray]]


def fit(
    G: Layer,
    X: np.ndarray | Batches | None = None,
    condition: np.ndarray | None = None,
    *,
    epochs: int = 10,
    updates_per_epoch: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | Callable[[int], float] = 1e-3,
    optimizer: Callable[[float], Optimiser] = Adam,
    objective: Objective = MaximumLikelihood(),
    validation: float | np.ndarray | tuple[np.ndarray, np.ndarray] = 0.1,
    patience: int | None = None,
    clip_norm: float | None = None,
    noise: float = 0.0,
    seed: int | None = None,
    progress: bool = True,
    callback: Callable[[Layer, History], Any] | None = None,
    checkpoint: str | os.PathLike | None = None,
    resume: str | os.PathLike | None = None,
    device: str | None = None,
    comm: Any = None,
) -> History:
    """Train a network in place, by maximum likelihood where no other objective is given.

    At the end the network has the weights with the smallest validation objective so far; without validation, the last
    ones. An objective that is not finite ends training with a `RuntimeWarning`, and Ctrl-C between two updates ends
    it too; the history then says so in `stopped`.

    No other thread may use the network meanwhile: it would see, and with a first `forward` make, half-changed weights.

    Args:
        G: a network whose `forward` gives the log-determinant: with one input, with a condition such as
            `NetworkConditionalGlow` and `SummarizedNet`, or with two inputs, where the objective is over both latents.
        X: samples on the last axis, float32 or float64; each batch is converted to the network's dtype. Of a
            `numpy.memmap` only the batches are read. Or a dataset of h5py or Zarr or an array of Dask, with samples on
            the first axis, `(n_samples, n_channels, [[nz,] ny,] nx)`: a thread reads some blocks while others are
            trained on, and samples are shuffled within these. Or an iterable of batches, each an array or a tuple
            `(X, condition)`, which starts anew in every epoch; an iterator, such as a generator, lasts for one. Where
            the network is on the GPU, each batch is moved there. `None` where the objective draws its own samples, as
            `ReverseKL` does.
        condition: what the network takes beside X, with as many samples.
        epochs: how many times to go through the samples, those before `resume` included.
        updates_per_epoch: how many updates make an epoch where the objective draws the samples, 100 by default.
        batch_size: samples of a batch, 128 by default; the last one of an epoch may be smaller. An iterable has its
            own.
        learning_rate: a number, or a function of the number of updates made, such as `CosineDecay`.
        optimizer: makes the optimiser from the learning rate: `Adam`, `AdamW`, `SGD`, or for their other arguments
            such as `functools.partial(SGD, momentum=0.9)`.
        objective: what is minimised; `pyinvnets.training.losses.Objective` is what another one derives from.
        validation: the part of the samples that is held out, 0 for none, or other samples, `X` or `(X, condition)`.
            A part cannot be held out of an iterable, whose batches are all trained on. Where the objective draws the
            samples, those of validation are as large a part of as many as an epoch has, and stay the same.
        patience: stop after so many epochs in turn without a smaller validation objective.
        clip_norm: the largest norm of the gradient of all parameters together; a larger one is scaled down.
        noise: standard deviation of the Gaussian noise that is added to X in each batch, but not in validation.
        seed: of the split, the order of the samples and the noise.
        progress: whether to write a line for each epoch to standard error, with the mean objective of its updates, and
            on a terminal or in a notebook a bar below.
        callback: called with the network and the history after each epoch; training ends where it returns True.
        checkpoint: a file to write after each epoch with all that `resume` needs.
        resume: a file that `checkpoint` wrote. With the same arguments training goes on as if it had never stopped;
            `epochs`, `patience` and `callback` may differ. Other samples are refused; of many, only some are compared.
        device: `"gpu"` or `"cpu"`: where to move the network first, as its methods `gpu` and `cpu` do.
        comm: a communicator of mpi4py, such as `MPI.COMM_WORLD`, of whose ranks each trains on its share of every
            batch. All call `fit` with the same arguments, samples included, and end with the same weights, which but
            for rounding do not depend on how many there are; they begin with those of rank 0, which alone writes the
            checkpoint, calls the callback and shows the bar. What ends training on one of them ends it on all.

    Returns:
        The history.

    Raises:
        TypeError, ValueError: unfit arguments, or a sample that is not finite; the network is unchanged. In a
            memory-mapped array or an iterable such a sample is found when its batch is read, and after the first update
            it ends training as an objective that is not finite does.
        FileNotFoundError: no file to resume from, or no folder for the checkpoint.
        OSError: the checkpoint cannot be written.
        RuntimeError: there is no GPU.

    >>> import pyinvnets as inv
    >>> G = inv.NetworkGlow(2, 8, 1, 4, engine="numpy", seed=1)
    >>> X = inv.sample_banana(600, seed=1, engine="numpy")
    >>> history = inv.fit(G, X, epochs=2, batch_size=60, learning_rate=1e-2, seed=1, progress=False)
    >>> len(history.objective), history.validation[1] < history.validation[0]
    (18, True)
    """
    ranks = ranks_of(comm)
    with ranks.agreed():
        epochs, updates_per_epoch, batch_size, patience, clip_norm, noise, seed, validation = map(
            as_python, (epochs, updates_per_epoch, batch_size, patience, clip_norm, noise, seed, validation)
        )
        _check_network(G)
        _check_objective(objective)
        inputs = objective.inputs(G)
        _check_numbers(epochs, updates_per_epoch, batch_size, patience, clip_norm, noise, seed)
        _check_samples(objective, X, condition, updates_per_epoch, noise)
        learning_rate = _schedule(learning_rate)
        optimiser = _optimiser(optimizer, learning_rate)
        _check_places(callback, checkpoint, device)
        before = ranks.of_first(lambda: None if resume is None else read_checkpoint(resume))
        if seed is None:
            seed = before.settings["seed"] if before else ranks.of_first(lambda: np.random.SeedSequence().entropy)
        rng = np.random.default_rng(seed)
        data: Data
        if objective.draws:
            batch_size, updates_per_epoch = batch_size or BATCH_SIZE, updates_per_epoch or UPDATES_PER_EPOCH
            draw = functools.partial(objective.draw, G)
            data = drawn_data(draw, updates_per_epoch, batch_size, validation, rng, ranks.share)
        else:
            data = training_data(G, inputs, X, condition, epochs, batch_size, validation, rng, ranks.share)
        if patience is not None and data.held_out is None:
            raise ValueError("fit: patience needs a validation objective; give validation samples")
        settings = {
            "network": repr(G),
            "dtype": G.dtype.name,
            "samples": data.samples,
            "batch_size": batch_size if data.samples is None else batch_size or BATCH_SIZE,
            "learning_rate": named(learning_rate),
            "optimizer": repr(optimiser),
            "objective": repr(objective),
            "validation": validation if is_real(validation) else "samples",
            "clip_norm": None if clip_norm is None else float(clip_norm),
            "noise": float(noise),
            "seed": seed,
            "data": data.fingerprint,
            "updates_per_epoch": updates_per_epoch,
        }
        training = _Training(G, objective, optimiser, learning_rate, data, rng, clip_norm, noise, ranks)
        _check_alike(ranks.gathered(settings | {"epochs": epochs, "patience": patience}))
        if before is not None:
            _check_same(settings, before.settings, resume)
            training.check(before)
        if device is not None:
            (G.gpu if device == "gpu" else G.cpu)()
        if before is not None:
            training.go_on_from(before)
    ranks.open(objective, G)
    return training.run(_Course(epochs, patience, progress, callback, checkpoint, settings))


# Arguments


def _check_network(G: Any) -> None:
    if isinstance(G, Wrapper):
        raise TypeError(f"fit: a {type(G).__name__} has a method of its own for that; write flow.fit(X)")
    if not isinstance(G, Layer):
        raise TypeError(f"fit: G must be a network, such as NetworkGlow(2, 16, 1, 10), got {G!r}")


def _check_objective(objective: Any) -> None:
    if not isinstance(objective, Objective):
        raise TypeError(f"fit: objective must be an Objective, such as MaximumLikelihood(), got {objective!r}")
    History.with_terms(objective.terms)


def _check_samples(objective: Objective, X: Any, condition: Any, updates_per_epoch: Any, noise: Any) -> None:
    """Raise where samples are given to an objective that draws them, or none to another one."""
    if objective.draws:
        if X is not None or condition is not None:
            raise TypeError(f"fit: {objective!r} draws its own samples; leave X and condition out")
        if noise:
            raise ValueError(f"fit: noise is added to samples, and {objective!r} draws its own; leave it out")
    elif X is None:
        raise TypeError(f"fit: {objective!r} needs samples; give X")
    elif updates_per_epoch is not None:
        raise ValueError("fit: with samples an epoch goes through all of them; leave updates_per_epoch out")


def _check_numbers(
    epochs: Any, updates_per_epoch: Any, batch_size: Any, patience: Any, clip_norm: Any, noise: Any, seed: Any
) -> None:
    counts = {
        "epochs": epochs,
        "updates_per_epoch": updates_per_epoch,
        "batch_size": batch_size,
        "patience": patience,
    }
    for name, value in counts.items():
        if (value is not None or name == "epochs") and not (is_integer(value) and value >= 1):
            raise ValueError(f"fit: {name} must be a positive integer, got {value!r}")
    if clip_norm is not None and not (is_real(clip_norm) and math.isfinite(clip_norm) and clip_norm > 0):
        raise ValueError(f"fit: clip_norm must be a positive finite number or None, got {clip_norm!r}")
    if not (is_real(noise) and math.isfinite(noise) and noise >= 0):
        raise ValueError(f"fit: noise must be a finite number, zero or more, got {noise!r}")
    if seed is not None and not (is_integer(seed) and seed >= 0):
        raise ValueError(f"fit: seed must be a non-negative integer or None, got {seed!r}")


def _check_places(callback: Any, checkpoint: Any, device: Any) -> None:
    if callback is not None and not callable(callback):
        raise TypeError(f"fit: callback must be a function of the network and the history, got {callback!r}")
    if checkpoint is not None:
        check_writable(checkpoint)
    if device not in (None, "cpu", "gpu"):
        raise ValueError(f'fit: device must be "cpu", "gpu" or None, got {device!r}')


def _schedule(learning_rate: float | Callable[[int], float]) -> Callable[[int], float]:
    if callable(learning_rate):
        return learning_rate
    if not is_real(learning_rate):
        raise TypeError(f"fit: learning_rate must be a number or a function, got {learning_rate!r}")
    return _Constant(float(learning_rate))


@dataclass(frozen=True)
class _Constant:
    value: float

    def __call__(self, made: int) -> float:
        return self.value


def _optimiser(make: Callable[[float], Optimiser], learning_rate: Callable[[int], float]) -> Optimiser:
    optimiser = make(learning_rate(0)) if callable(make) else None
    if not isinstance(optimiser, Optimiser):
        raise TypeError(
            f"fit: optimizer must make an optimiser from a learning rate, such as Adam, AdamW or SGD, got {make!r}"
        )
    return optimiser


def _check_alike(settings: list[dict[str, Any]]) -> None:
    """Raise ValueError where ranks were called with different arguments."""
    for rank, others in enumerate(settings):
        for name, value in settings[0].items():
            if others[name] != value:
                told = "other samples; give all samples to every rank" if name == "data" else f"{name} = {others[name]}"
                raise ValueError(f"fit: rank {rank} has {told}, expected the same as on rank 0, {name} = {value}")


def _check_same(settings: dict[str, Any], before: dict[str, Any], path: str | os.PathLike | None) -> None:
    # Earlier checkpoints do not say these.
    before = {"objective": repr(MaximumLikelihood()), "data": settings["data"], "updates_per_epoch": None} | before
    for name, value in settings.items():
        if name in before and value == before[name]:
            continue
        if name == "data":
            raise ValueError(f"fit: {path} was written in training on other samples; give the same ones again")
        raise ValueError(f"fit: {path} was written with {name} = {before.get(name)}, cannot go on with {value}")
