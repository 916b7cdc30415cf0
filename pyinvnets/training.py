"""`fit`: maximum likelihood for every network that has a density.

The objective is `l2 - lgdet`: half the squared norm of the latent, less the log-determinant, both means over the
batch. It is the negative log-likelihood without its constant, half the number of dimensions times `log(2 pi)`.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .arrays import Space
from .batches import Batch, Samples, Stream, training_data
from .checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from .composite import Sequential, SummarizedNet
from .devices import DeviceArray, cpu
from .history import History
from .interrupts import Interrupts
from .invertible import Invertible, OneLane
from .lanes import TwoLanes
from .networks import NetworkConditionalGlow
from .optimisers import Adam, Optimiser
from .parameters import clear_grad, load_state

Batches = Iterable[np.ndarray | tuple[np.ndarray, np.ndarray]]


def fit(
    G: Invertible,
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
    callback: Callable[[Invertible, History], Any] | None = None,
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


def _inputs(G: Invertible) -> dict[str, Space]:
    """What `forward` takes, by the names of `fit`."""
    if isinstance(G, NetworkConditionalGlow):
        spaces = {"X": G._data, "condition": G._condition}
    elif isinstance(G, SummarizedNet):
        spaces = {"X": G._data, "condition": G._blocks[0]._data}
    elif isinstance(G, TwoLanes):
        spaces = {"X": G._data, "condition": G._data}
    elif isinstance(G, OneLane):
        spaces = {"X": G._data}
    else:
        raise TypeError(f"fit: expected a network with a density, got {G!r}")
    if not _tracks_logdet(G):
        raise ValueError(f"fit: {G!r} gives no log-determinant; make it with logdet=True")
    return spaces


def _tracks_logdet(G: Invertible) -> bool:
    if isinstance(G, Sequential):
        return any(map(_tracks_logdet, G._layers))
    original = G.arguments.get("network", G)
    return original.arguments.get("logdet", type(original).__name__.startswith(("Network", "Summarized")))


def _check_numbers(epochs, batch_size, patience, clip_norm, noise, seed) -> None:
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


def _check_same(settings: dict[str, Any], before: dict[str, Any], path: str | os.PathLike) -> None:
    for name, value in settings.items():
        if value != before[name]:
            raise ValueError(f"fit: {path} was written with {name} = {before[name]}, cannot go on with {value}")


# Training


@dataclass(frozen=True)
class _Course:
    """What `fit` was asked for around the updates."""

    epochs: int
    patience: int | None
    progress: bool
    callback: Callable[[Invertible, History], Any] | None
    checkpoint: str | os.PathLike | None
    settings: dict[str, Any]


class _Stop(Exception):
    """Training ends early, and why."""


class _Diverged(_Stop):
    """The objective is not finite."""


KEPT = "the network has the last weights that gave a finite objective, or the best by validation"
"""The end of `History.stopped` where the objective was not finite."""


class _Weights:
    """Room for a copy of a network's weights, which are taken and put back in place."""

    def __init__(self, G: Invertible) -> None:
        self._names = [p.name for p in G._parameters]
        self._views = [p.data for p in G._parameters]
        self._values = [view.copy(order="F") for view in self._views]

    def take(self) -> None:
        for value, view in zip(self._values, self._views, strict=True):
            value[...] = view

    def put_back(self) -> None:
        for value, view in zip(self._values, self._views, strict=True):
            view[...] = value

    def load(self, state: dict[str, np.ndarray]) -> None:
        for name, value in zip(self._names, self._values, strict=True):
            value[...] = state[name]

    def state(self) -> dict[str, np.ndarray]:
        return {name: cpu(value) for name, value in zip(self._names, self._values, strict=True)}


class _Training:
    """The state of one training.

    Attributes:
        good: the weights before the last update, whose objective was finite.
        best: those with the smallest validation objective so far.
    """

    def __init__(
        self,
        G: Invertible,
        optimiser: Optimiser,
        learning_rate: Callable[[int], float],
        batches: Samples | Stream,
        held_out: Samples | None,
        rng: np.random.Generator,
        clip_norm: float | None,
        noise: float,
    ) -> None:
        self.G, self.optimiser, self.learning_rate = G, optimiser, learning_rate
        self.batches, self.held_out, self.rng = batches, held_out, rng
        self.clip_norm, self.noise = clip_norm, noise
        self.history = History()
        self.good: _Weights | None = None
        self.best: _Weights | None = None
        self.smallest: float | None = None
        self.waited = 0

    def go_on_from(self, before: Checkpoint) -> None:
        self.optimiser.load_state_dict(self.G, before.optimiser)
        load_state(self.G, before.weights)
        self.rng.bit_generator.state = before.generator
        self.history, self.smallest, self.waited = before.history, before.smallest, before.waited
        self.history.stopped = None
        if before.best:
            self.best = _Weights(self.G)
            self.best.load(before.best)
        if before.spatial:
            self.G.spatial = tuple(before.spatial)

    def run(self, course: _Course) -> History:
        with Interrupts() as interrupts:
            try:
                self._epochs(course, interrupts)
            except KeyboardInterrupt:
                self.history.stopped = "interrupted"
            except _Stop as stop:
                self.history.stopped = str(stop)
                if isinstance(stop, _Diverged):
                    warnings.warn(f"fit: {stop}", RuntimeWarning, stacklevel=3)
            finally:
                with interrupts.held():
                    clear_grad(self.G)
                    if self.best is not None:
                        self.best.put_back()
        return self.history

    def _epochs(self, course: _Course, interrupts: Interrupts) -> None:
        count = len(self.batches) if isinstance(self.batches, Samples) else None
        made = len(self.history.l2)
        with tqdm(
            total=count and course.epochs * count,
            initial=made,
            unit="update",
            mininterval=0.5,
            disable=not course.progress,
        ) as bar:
            while self.history.epochs < course.epochs:
                if course.patience is not None and self.waited >= course.patience:
                    raise _Stop(f"no smaller validation objective in {self.waited} epoch(s)")
                self._epoch(course, interrupts, bar)

    def _epoch(self, course: _Course, interrupts: Interrupts, bar: tqdm) -> None:
        start = time.perf_counter()
        for batch in self.batches.shuffled(self.rng):
            with interrupts.held():
                self._update(batch)
            bar.set_postfix(self._shown(), refresh=False)
            bar.update()
        validation = self._validate(batch)
        with interrupts.held():
            self.history.validation.append(validation)
            if validation is not None:
                self._compare(validation)
            self.history.epoch_seconds.append(time.perf_counter() - start)
            if course.checkpoint is not None:
                write_checkpoint(course.checkpoint, self._checkpoint(course.settings))
        if course.callback is not None:
            course.callback(self.G, self.history)

    def _shown(self) -> dict[str, str]:
        validation = self.history.validation[-1:] or [None]
        shown = {"objective": f"{self.history.l2[-1] - self.history.lgdet[-1]:.4f}"}
        return shown if validation[0] is None else shown | {"validation": f"{validation[0]:.4f}"}

    def _update(self, batch: Batch) -> None:
        start = time.perf_counter()
        number = len(self.history.l2) + 1
        batch = self._with_noise(self._placed(batch))
        n = batch[0].shape[-1]
        latents, others, lgdet = _forward(self.G, batch)
        l2 = _half_square(latents) / n
        if not math.isfinite(l2 - lgdet):
            if self.good is not None:
                self.good.put_back()
            raise _Diverged(
                f"the objective of update {number} is {l2 - lgdet} (l2 {l2}, log-determinant {lgdet}); {KEPT}"
            )
        if self.good is None:
            self.good = _Weights(self.G)
        clear_grad(self.G)  # Conv1x1 adds to what is there.
        _backward(self.G, batch, latents, others)
        if self.clip_norm is not None:
            _clip(self.G, self.clip_norm)
        self.good.take()
        self.optimiser.learning_rate = self.learning_rate(number - 1)
        self.optimiser.update(self.G)
        self._record(n, sum(Z.size for Z in latents) // n, l2, lgdet, start)

    def _record(self, n: int, dimensions: int, l2: float, lgdet: float, start: float) -> None:
        history = self.history
        history.dimensions = dimensions
        history.epoch.append(history.epochs + 1)
        history.samples.append(n)
        history.l2.append(l2)
        history.lgdet.append(lgdet)
        history.seconds.append(time.perf_counter() - start)

    def _placed(self, batch: Batch) -> Batch:
        return tuple(map(self.G._placed, batch))

    def _with_noise(self, batch: Batch) -> Batch:
        if not self.noise:
            return batch
        X = batch[0]
        drawn = self.rng.standard_normal(X.shape[::-1], dtype=X.dtype).T
        return X + self.G._placed(self.noise * drawn), *batch[1:]

    def _validate(self, last: Batch) -> float | None:
        """The objective of the held-out samples. Without any, that of the last batch must do to show that the last
        update did no harm."""
        batches = [last] if self.held_out is None else self.held_out.in_order()
        total, samples = 0.0, 0
        for batch in batches:
            n = batch[0].shape[-1]
            latents, _, lgdet = _forward(self.G, self._placed(batch))
            total += _half_square(latents) - n * lgdet
            samples += n
        if not math.isfinite(total):
            self.good.put_back()
            raise _Diverged(f"after update {len(self.history.l2)} the objective is {total / samples}; {KEPT}")
        return None if self.held_out is None else total / samples

    def _compare(self, validation: float) -> None:
        if self.smallest is not None and validation >= self.smallest:
            self.waited += 1
            return
        self.smallest, self.waited = validation, 0
        if self.best is None:
            self.best = _Weights(self.G)
        self.best.take()

    def _checkpoint(self, settings: dict[str, Any]) -> Checkpoint:
        return Checkpoint(
            settings=settings,
            weights=self.G.state_dict(),
            best={} if self.best is None else self.best.state(),
            optimiser=self.optimiser.state_dict(self.G),
            generator=self.rng.bit_generator.state,
            smallest=self.smallest,
            waited=self.waited,
            spatial=None if self.G.spatial is None else list(self.G.spatial),
            history=self.history,
        )


def _forward(G: Invertible, batch: Batch) -> tuple[list[np.ndarray], list[np.ndarray], float]:
    """The latents, what else `backward` takes, and the log-determinant."""
    *results, lgdet = G.forward(*batch)
    if isinstance(G, (OneLane, TwoLanes)):
        return results, [], lgdet
    return results[:1], results[1:], lgdet


def _half_square(latents: list[np.ndarray]) -> float:
    with np.errstate(all="ignore"):
        return 0.5 * sum(map(_square_norm, latents))


def _square_norm(array: np.ndarray | DeviceArray) -> float:
    if isinstance(array, DeviceArray):
        return array.sum_of_squares()
    return float(np.sum(np.square(array, dtype=np.float64)))


def _backward(G: Invertible, batch: Batch, latents: list[np.ndarray], others: list[np.ndarray]) -> None:
    """Set the gradients of the objective."""
    n = batch[0].shape[-1]
    more = {"Y_save": batch[1]} if isinstance(G, SummarizedNet) else {}
    G.backward(*(Z / n for Z in latents), *latents, *others, **more)


def _clip(G: Invertible, largest: float) -> None:
    """Scale all gradients so that their norm together is not above `largest`."""
    grads = [p.grad for p in G._parameters if p.grad is not None]
    norm = math.sqrt(sum(map(_square_norm, grads)))
    if norm > largest:
        for g in grads:
            g *= largest / norm
