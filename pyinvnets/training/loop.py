"""The loop of `fit`: epochs of updates, validation, checkpoints, and what ends them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from .._warnings import warn
from ..arrays.cuda_interface import to_numpy
from ..networks.base.layer import Layer
from ..networks.base.parameters import clear_grad, get_params
from .batches import Batch, Samples, Stream
from .checkpoints import Checkpoint, write_checkpoint
from .history import History
from .interrupts import Interrupts
from .losses import Evaluation, MaximumLikelihood, clip
from .optimisers import Optimiser

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


KEPT = "the network has the last weights that gave a finite objective, or the best by validation"
"""The end of `History.stopped` where the objective was not finite."""


_BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix} [{elapsed}<{remaining}, {rate_fmt}]"
"""As tqdm's own, but with the objective further left: what is too long for a narrow terminal is cut at the right."""


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
        self.objective = MaximumLikelihood()
        self.history = History()
        self.good: _Weights | None = None
        self.best: _Weights | None = None
        self.smallest: float | None = None
        self.waited = 0

    def go_on_from(self, before: Checkpoint) -> None:
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

    def run(self, course: _Course) -> History:
        with Interrupts() as interrupts:
            try:
                self._epochs(course, interrupts)
            except KeyboardInterrupt:
                self.history.stopped = "interrupted"
            except _Stop as stop:
                self.history.stopped = str(stop)
                if isinstance(stop, _Diverged):
                    warn(f"fit: {stop}", RuntimeWarning)
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
            bar_format=_BAR if count else None,
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
        evaluation = self.objective(self.G, batch)
        if not math.isfinite(evaluation.objective):
            if self.good is not None:
                self.good.put_back()
            raise _Diverged(
                f"the objective of update {number} is {evaluation.objective} (l2 {evaluation.l2}, log-determinant "
                f"{evaluation.lgdet}); {KEPT}"
            )
        if self.good is None:
            self.good = _Weights(self.G)
        evaluation.gradients()
        if self.clip_norm is not None:
            clip(self.G, self.clip_norm)
        self.good.take()
        self.optimiser.learning_rate = self.learning_rate(number - 1)
        self.optimiser.update(self.G)
        self._record(evaluation, start)

    def _record(self, evaluation: Evaluation, start: float) -> None:
        history = self.history
        history.dimensions = evaluation.dimensions
        history.epoch.append(history.epochs + 1)
        history.samples.append(evaluation.samples)
        history.l2.append(evaluation.l2)
        history.lgdet.append(evaluation.lgdet)
        history.seconds.append(time.perf_counter() - start)

    def _placed(self, batch: Batch) -> Batch:
        return tuple(map(self.G.place, batch))

    def _with_noise(self, batch: Batch) -> Batch:
        if not self.noise:
            return batch
        X = batch[0]
        drawn = self.rng.standard_normal(X.shape[::-1], dtype=X.dtype).T
        return X + self.G.place(self.noise * drawn), *batch[1:]

    def _validate(self, last: Batch) -> float | None:
        """The objective of the held-out samples. Without any, that of the last batch must do to show that the last
        update did no harm."""
        batches = [last] if self.held_out is None else self.held_out.in_order()
        total, samples = 0.0, 0
        for batch in batches:
            evaluation = self.objective(self.G, self._placed(batch))
            total += evaluation.samples * evaluation.objective
            samples += evaluation.samples
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
            generator=dict(self.rng.bit_generator.state),
            smallest=self.smallest,
            waited=self.waited,
            spatial=None if self.G.spatial is None else list(self.G.spatial),
            history=self.history,
        )
