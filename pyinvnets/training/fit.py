"""`fit`: maximum likelihood for every network that has a density.

The objective is `l2 - lgdet`: half the squared norm of the latent, less the log-determinant, both means over the
batch. It is the negative log-likelihood without its constant, half the number of dimensions times `log(2 pi)`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.spec import ArraySpec
from ..networks.base.layer import Layer
from .batches import training_data
from .checkpoints import read_checkpoint
from .history import History
from .loop import _Course, _Training
from .optimisers import Adam, Optimiser

Batches = Iterable[np.ndarray | tuple[np.ndarray, np.ndarray]]


def fit(
    G: Layer,
    X: np.ndarray | Batches,
    condition: np.ndarray | None = None,
    *,
    epochs: int,
    batch_size: int | None = None,
    learning_rate: float | Callable[[int], float] = 1e-3,
    optimizer: Callable[[float], Optimiser] = Adam,
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
) -> History:
    """Train a network by maximum likelihood, in place.

    At the end the network has the weights with the smallest validation objective so far; without validation, the last
    ones. An objective that is not finite ends training with a `RuntimeWarning`, and Ctrl-C between two updates ends
    it too; the history then says so in `stopped`.

    Args:
        G: a network whose `forward` gives the log-determinant: with one input, a `NetworkConditionalGlow`, a
            `SummarizedNet`, or with two lanes, where the objective is over both latents.
        X: samples on the last axis, of the network's dtype. Of a `numpy.memmap` only the batches are read. Or an
            iterable of batches, each an array or a tuple `(X, condition)`, which starts anew in every epoch; an
            iterator, such as a generator, lasts for one. Where the network is on the GPU, each batch is moved there.
        condition: what the network takes beside X, with as many samples.
        epochs: how many times to go through the samples, those before `resume` included.
        batch_size: samples of a batch; the last one of an epoch may be smaller. An iterable has its own.
        learning_rate: a number, or a function of the number of updates made, such as `CosineDecay`.
        optimizer: makes the optimiser from the learning rate: `Adam`, `AdamW`, `SGD`, or for their other arguments
            such as `functools.partial(SGD, momentum=0.9)`.
        validation: the part of the samples that is held out, 0 for none, or other samples, `X` or `(X, condition)`.
            A part cannot be held out of an iterable, whose batches are all trained on.
        patience: stop after so many epochs in turn without a smaller validation objective.
        clip_norm: the largest norm of the gradient of all parameters together; a larger one is scaled down.
        noise: standard deviation of the Gaussian noise that is added to X in each batch, but not in validation.
        seed: of the split, the order of the samples and the noise.
        progress: whether to show a bar on standard error.
        callback: called with the network and the history after each epoch.
        checkpoint: a file to write after each epoch with all that `resume` needs.
        resume: a file that `checkpoint` wrote. With the same arguments training goes on as if it had never stopped;
            `epochs`, `patience` and `callback` may differ.
        device: `"gpu"` or `"cpu"`: where to move the network first, as its methods `gpu` and `cpu` do.

    Returns:
        The history.

    Raises:
        TypeError, ValueError: unfit arguments; the network is unchanged.
        FileNotFoundError: no file to resume from, or no folder for the checkpoint.
        RuntimeError: there is no GPU.

    >>> import pyinvnets as inv
    >>> G = inv.NetworkGlow(2, 8, 1, 4, engine="numpy", seed=1)
    >>> X = inv.sample_banana(600, seed=1, engine="numpy")
    >>> history = inv.fit(G, X, epochs=2, batch_size=60, learning_rate=1e-2, seed=1, progress=False)
    >>> len(history.objective), history.validation[1] < history.validation[0]
    (18, True)
    """
    inputs = _inputs(G)
    _check_numbers(epochs, batch_size, patience, clip_norm, noise, seed)
    learning_rate = _schedule(learning_rate)
    optimiser = _optimiser(optimizer, learning_rate)
    if callback is not None and not callable(callback):
        raise TypeError(f"fit: callback must be a function of the network and the history, got {callback!r}")
    if checkpoint is not None and not Path(checkpoint).absolute().parent.is_dir():
        raise FileNotFoundError(f"fit: there is no folder for the checkpoint {checkpoint}")
    if device not in (None, "cpu", "gpu"):
        raise ValueError(f'fit: device must be "cpu", "gpu" or None, got {device!r}')
    before = None if resume is None else read_checkpoint(resume)
    if seed is None:
        seed = before.settings["seed"] if before else np.random.SeedSequence().entropy
    rng = np.random.default_rng(seed)
    batches, held_out = training_data(G, inputs, X, condition, epochs, batch_size, validation, rng)
    if patience is not None and held_out is None:
        raise ValueError("fit: patience needs a validation objective; give validation samples")
    settings = {
        "network": repr(G),
        "dtype": G.dtype.name,
        "samples": X.shape[-1] if isinstance(X, np.ndarray) else None,
        "batch_size": batch_size,
        "learning_rate": _named(learning_rate),
        "optimizer": repr(optimiser),
        "validation": validation if isinstance(validation, (int, float)) else "samples",
        "clip_norm": None if clip_norm is None else float(clip_norm),
        "noise": float(noise),
        "seed": seed,
    }
    if before is not None:
        _check_same(settings, before.settings, resume)
    if device is not None:
        (G.gpu if device == "gpu" else G.cpu)()
    training = _Training(G, optimiser, learning_rate, batches, held_out, rng, clip_norm, noise)
    if before is not None:
        training.go_on_from(before)
    return training.run(_Course(epochs, patience, progress, callback, checkpoint, settings))


# Arguments


def _inputs(G: Layer) -> dict[str, ArraySpec]:
    """What `forward` takes, by the names of `fit`."""
    signature = G.signature
    if not signature.invertible:
        raise TypeError(f"fit: expected a network with a density, got {G!r}")
    if signature.no_density:
        raise ValueError(f"fit: {G!r} has no density: {signature.no_density}")
    specs = [*signature.inputs.values(), *([] if signature.condition is None else [signature.condition])]
    return dict(zip(("X", "condition"), specs, strict=False))


def _check_numbers(epochs: Any, batch_size: Any, patience: Any, clip_norm: Any, noise: Any, seed: Any) -> None:
    for name, value in (("epochs", epochs), ("batch_size", batch_size), ("patience", patience)):
        if (value is not None or name == "epochs") and not (_is_integer(value) and value >= 1):
            raise ValueError(f"fit: {name} must be a positive integer, got {value!r}")
    if clip_norm is not None and not (math.isfinite(clip_norm) and clip_norm > 0):
        raise ValueError(f"fit: clip_norm must be a positive finite number or None, got {clip_norm}")
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"fit: noise must be a finite number, zero or more, got {noise}")
    if seed is not None and not (_is_integer(seed) and seed >= 0):
        raise ValueError(f"fit: seed must be a non-negative integer or None, got {seed!r}")


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _schedule(learning_rate: float | Callable[[int], float]) -> Callable[[int], float]:
    if callable(learning_rate):
        return learning_rate
    if not isinstance(learning_rate, (int, float)):
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


def _named(learning_rate: Callable[[int], float]) -> str:
    return getattr(learning_rate, "__qualname__", None) or repr(learning_rate)


def _check_same(settings: dict[str, Any], before: dict[str, Any], path: str | os.PathLike | None) -> None:
    for name, value in settings.items():
        if name not in before or value != before[name]:
            raise ValueError(f"fit: {path} was written with {name} = {before.get(name)}, cannot go on with {value}")
