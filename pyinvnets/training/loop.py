"""The loop of `fit`: epochs of updates, validation, checkpoints, and what ends them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._warnings import warn
from ..arrays.cuda_interface import to_numpy
from ..networks.base.initialisation import CannotInitialise
from ..networks.base.layer import Layer
from ..networks.base.parameters import check_state, clear_grad, get_params
from .batches import Batch, NotFiniteSample, Portion
from .checkpoints import Checkpoint, write_checkpoint
from .data import Data
from .gradients import Gradients, NotFinite
from .history import History
from .interrupts import Interrupts
from .losses import Objective
from .optimisers import Optimiser
from .progress import Progress
from .ranks import Alone

# Training


@dataclass(frozen=True)
class _Course:
    """What `fit` was asked for around the updates."""

    epochs: int
    patience: int | None
    progress: bool
    callback: Callable[[Layer, History], Any] | None
    checkpoint: str | os.PathLike | None
    settings: dict[str, Any]


class _Stop(Exception):
    """Training ends early, and why."""


class _Diverged(_Stop):
    """The objective is not finite."""


class _Noise(_Stop):
    """The gradients have nothing to do with the objective."""


def _is_true(answer: Any) -> bool:
    """Whether a callback has answered True, NumPy's included, rather than given something that counts as true."""
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


KEPT = "the network has the last weights that gave a finite objective, or the best by validation"
"""The end of `History.stopped` where the objective was not finite."""


NOISE = 1.0
"""Where a recomputed state is off by as much as its size, the gradients are noise."""


class _Weights:
    """Room for a copy of a network's weights, which are taken and put back in place."""

    def __init__(self, G: Layer) -> None:
        self._names = [p.name for p in get_params(G)]
        self._views = [p.data for p in get_params(G)]
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
        return {name: to_numpy(value) for name, value in zip(self._names, self._values, strict=True)}


class _Training:
    """The state of one training.

    Attributes:
        good: the weights before the last update, whose objective was finite.
        best: those with the smallest validation objective so far.
    """

    def __init__(
        self,
        G: Layer,
        objective: Objective,
        optimiser: Optimiser,
        learning_rate: Callable[[int], float],
        data: Data,
        rng: np.random.Generator,
        clip_norm: float | None,
        noise: float,
        ranks: Alone,
    ) -> None:
        self.G, self.objective, self.optimiser, self.learning_rate = G, objective, optimiser, learning_rate
        self.traversed = objective.traversed(G)
        self.batches, self.held_out, self.rng = data.batches, data.held_out, rng
        self.clip_norm, self.noise, self.ranks = clip_norm, noise, ranks
        self.history = History.with_terms(objective.terms)
        self.good: _Weights | None = None
        self.best: _Weights | None = None
        self.smallest: float | None = None
        self.waited = 0

    def check(self, before: Checkpoint) -> None:
        """Raise ValueError where training cannot go on from a checkpoint; nothing changes."""
        self.optimiser.check_state(self.G, before.optimiser)
        for weights in (before.weights, before.best or before.weights):
            check_state(self.G, weights)
        images = self.G.signature.images
        if before.spatial and not images.holds((*before.spatial, images.channels or 1, 1)):
            raise ValueError(f"fit: the checkpoint's images of size {before.spatial} are not those of {self.G!r}")
        if before.spacings and len(before.spacings) != len(self.traversed.spacings):
            raise ValueError(f"fit: the checkpoint's spacings of anchors are not those of {self.G!r}")
        if list(before.history.terms) != list(self.objective.terms):
            raise ValueError(f"fit: the checkpoint's history has not the terms {self.objective.terms} of the objective")

    def go_on_from(self, before: Checkpoint) -> None:
        """From a checkpoint that is checked."""
        self.optimiser.load_state_dict(self.G, before.optimiser)
        self.G.load_state_dict(before.weights)
        self.rng.bit_generator.state = before.generator
        self.history, self.smallest, self.waited = before.history, before.smallest, before.waited
        self.history.stopped = None
        if before.best:
            self.best = _Weights(self.G)
            self.best.load(before.best)
        if before.spatial:
            self.G.spatial = tuple(before.spatial)
        if before.spacings:
            self.traversed.spacings = before.spacings

    def run(self, course: _Course) -> History:
        interrupts = Interrupts()
        interrupts.watch(self._run, course, interrupts)
        return self.history

    def _run(self, course: _Course, interrupts: Interrupts) -> None:
        try:
            self._together(course, interrupts)
        except KeyboardInterrupt:
            self.history.stopped = "interrupted"
        except _Diverged as stop:
            self.history.stopped = str(stop)
            if self.good is not None:
                interrupts.held(self.good.put_back)
            if self.ranks.speaks:
                warn(f"fit: {stop}", RuntimeWarning)
        except _Stop as stop:
            self.history.stopped = str(stop)
            if isinstance(stop, _Noise) and self.ranks.speaks:
                warn(f"fit: {stop}", RuntimeWarning)
        finally:
            interrupts.held(self._end)

    def _together(self, course: _Course, interrupts: Interrupts) -> None:
        """All ranks end with the same, whatever one of them came to."""
        try:
            self._epochs(course, interrupts)
        except BaseException as error:
            interrupts.held(self.ranks.meet, error)
            raise
        interrupts.held(self.ranks.meet)

    def _end(self) -> None:
        clear_grad(self.G)
        if self.best is not None:
            self.best.put_back()

    def _epochs(self, course: _Course, interrupts: Interrupts) -> None:
        count = len(self.batches) if isinstance(self.batches, Sized) else None
        total = None if count is None else course.epochs * count
        shown = course.progress and self.ranks.speaks
        with Progress(total, made=self.history.updates, shown=shown) as progress:
            while self.history.epochs < course.epochs:
                if course.patience is not None and self.waited >= course.patience:
                    raise _Stop(f"no smaller validation objective in {self.waited} epoch(s)")
                self._epoch(course, interrupts, progress)

    def _epoch(self, course: _Course, interrupts: Interrupts, progress: Progress) -> None:
        start = time.perf_counter()
        for batch in self._read():
            interrupts.held(self._update, batch)
            progress.update(self.history.objective[-1])
        validation = self._validate(batch, interrupts)
        interrupts.held(self._end_epoch, course, validation, start)
        progress.epoch(self.history)
        if course.callback is not None and self.ranks.speaks:
            with progress.aside():
                answer = course.callback(self.G, self.history)
            if _is_true(answer):
                raise _Stop("the callback ended it")

    def _read(self) -> Iterator[Portion]:
        """The batches of an epoch. Of data that nobody has read before some may be unusable."""
        try:
            yield from self.batches.shuffled(self.rng)
        except NotFiniteSample as error:
            if self.good is None:
                raise
            number = self.history.updates + 1
            raise _Diverged(f"update {number} cannot be made, {str(error).removeprefix('fit: ')}; {KEPT}") from error

    # Updates

    def _update(self, portion: Portion) -> None:
        start = time.perf_counter()
        gradients = self._gradients(self._with_noise(self._placed(portion.own), portion))
        self._check_drift()
        if self.clip_norm is not None:
            gradients.clip(self.clip_norm)
        if self.good is None:
            self.good = _Weights(self.G)
        self.good.take()
        self.optimiser.learning_rate = self.learning_rate(self.history.updates)
        gradients.apply(self.optimiser)
        evaluation = gradients.evaluation
        self.history.dimensions = evaluation.dimensions
        seconds, anchors = time.perf_counter() - start, self.traversed.model.anchors
        terms, samples = evaluation.terms, evaluation.samples
        self.history.append(evaluation.objective, terms, samples, seconds, anchors.drift, anchors.size)

    def _check_drift(self) -> None:
        drift = self.traversed.drift
        if drift is not None and drift >= NOISE:
            raise _Noise(
                f"the gradients of update {self.history.updates + 1} are noise: a state recomputed from the output is "
                f"off by {drift:.1g} times its size; {self._advice()}"
            )

    def _advice(self) -> str:
        if self.G.anchors == "auto":
            return "scales have become too small; train with a smaller learning rate, or from other initial weights"
        return 'write G.anchors = "auto"'

    @property
    def _current(self) -> Objective:
        """The objective of the next update."""
        return self.objective.at(self.history.updates)

    def _gradients(self, batch: Batch) -> Gradients:
        try:
            if self.good is None:
                return self._first_gradients(batch)
            return self.ranks.gradients(self._current, self.G, batch)
        except NotFinite as error:
            number = self.history.updates + 1
            raise _Diverged(f"the objective of update {number} is {error}; {KEPT}") from None

    def _first_gradients(self, batch: Batch) -> Gradients:
        """Where a channel is the same all over the first batch, such as a category that is rare, ActNorm is set from
        that batch and a sample in which the channel differs."""
        try:
            self.ranks.initialise(self.objective, self.G, batch)
            return self.ranks.gradients(self._current, self.G, batch)
        except CannotInitialise:
            of_numpy = tuple(map(to_numpy, self.ranks.together(batch)))
            completed = self.batches.completed(of_numpy)
            if completed is of_numpy:
                raise
            self.objective.evaluate(self.G, self._placed(completed))
            return self.ranks.gradients(self._current, self.G, batch)

    def _placed(self, batch: Batch) -> Batch:
        return tuple(map(self.G.place, batch))

    def _with_noise(self, batch: Batch, portion: Portion) -> Batch:
        """Noise is drawn for all samples of a batch, so that each gets the same on any number of ranks."""
        if not self.noise:
            return batch
        X = batch[0]
        drawn = self.rng.standard_normal((portion.samples, *X.shape[-2::-1]), dtype=X.dtype)[portion.share].T
        return X + self.G.place(self.noise * drawn), *batch[1:]

    # The end of an epoch

    def _end_epoch(self, course: _Course, validation: float | None, start: float) -> None:
        self.history.validation.append(validation)
        if validation is not None:
            self._compare(validation)
        self.history.epoch_seconds.append(time.perf_counter() - start)
        if course.checkpoint is not None and self.ranks.speaks:
            write_checkpoint(course.checkpoint, self._checkpoint(course.settings))

    def _validate(self, last: Portion, interrupts: Interrupts) -> float | None:
        """The objective of the held-out samples. Without any, that of the last batch must do to show that the last
        update did no harm."""
        batches = [last] if self.held_out is None else self.held_out.in_order()
        total, samples = 0.0, 0
        for portion in batches:
            evaluation = interrupts.held(self.ranks.evaluate, self.objective, self.G, self._placed(portion.own))
            total += evaluation.samples * evaluation.objective
            samples += evaluation.samples
        if not math.isfinite(total):
            raise _Diverged(f"after update {self.history.updates} the objective is {total / samples}; {KEPT}")
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
            generator=dict(self.rng.bit_generator.state),
            smallest=self.smallest,
            waited=self.waited,
            spatial=None if self.G.spatial is None else list(self.G.spatial),
            history=self.history,
            spacings=self.traversed.spacings,
        )
