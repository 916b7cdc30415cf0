"""What `fit` measured, update by update and epoch by epoch."""

from __future__ import annotations

import csv
import itertools
import json
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.files import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes


OF_MAXIMUM_LIKELIHOOD = ("l2", "lgdet")

_COLUMNS = ("epoch", "samples", "objective", "seconds", "drift", "anchors", "validation", "epoch_seconds")
"""The columns of every history, in which objectives add their terms."""


class History:
    """The course of a training: columns with a value for each update, or for each epoch.

    The terms of the objective are columns by their names, and attributes: those of maximum likelihood are `l2`, half
    the squared norm of the latent, and `lgdet`, the log-determinant, each the mean over the batch. Another objective
    has the terms that it names itself.

    Attributes:
        epoch: of each update, from 1.
        samples: in the batch of each update.
        objective: what is minimised, for each update.
        terms: the terms of the objective, each a column with a value for each update.
        seconds: of each update.
        drift: of each update, how far a state that was recomputed was off; `None` where that is not known. See
            `G.drift`.
        anchors: of each update, the bytes of the states that were kept; see `G.anchors`.
        validation: the objective of the held-out samples after each epoch, `None` where none are held out.
        epoch_seconds: of each epoch, with reading, validation and checkpoint.
        dimensions: of a sample; the latents' where there are two.
        stopped: why training ended before its last epoch, or `None`.

    Raises:
        ValueError: a term has the name of another column.
    """

    def __init__(
        self,
        *,
        epoch: Iterable[int] = (),
        samples: Iterable[int] = (),
        objective: Iterable[float] | None = None,
        seconds: Iterable[float] = (),
        drift: Iterable[float | None] | None = None,
        anchors: Iterable[int] | None = None,
        validation: Iterable[float | None] = (),
        epoch_seconds: Iterable[float] = (),
        dimensions: int = 0,
        stopped: str | None = None,
        **terms: Iterable[float],
    ) -> None:
        terms = terms or dict.fromkeys(OF_MAXIMUM_LIKELIHOOD, ())
        self.terms = {name: list(column) for name, column in terms.items()}
        self._check_names(self.terms)
        if objective is None:
            l2, lgdet = (self.terms.get(name, ()) for name in OF_MAXIMUM_LIKELIHOOD)
            objective = [a - b for a, b in zip(l2, lgdet, strict=True)]
        self.epoch, self.samples, self.objective = list(epoch), list(samples), list(objective)
        self.seconds, self.validation, self.epoch_seconds = list(seconds), list(validation), list(epoch_seconds)
        self.drift: list[float | None] = [None] * len(self.objective) if drift is None else list(drift)
        self.anchors = [0] * len(self.objective) if anchors is None else list(anchors)
        self.dimensions, self.stopped = dimensions, stopped

    @classmethod
    def with_terms(cls, names: Iterable[str]) -> History:
        """An empty history for an objective with these terms, which may be none at all."""
        history = cls()
        history.terms = {name: [] for name in names}
        cls._check_names(history.terms)
        return history

    @classmethod
    def _check_names(cls, names: Iterable[str]) -> None:
        for name in names:
            if hasattr(cls, name) or name in (*_COLUMNS, "terms", "dimensions", "stopped"):
                raise ValueError(f"History: {name} is the name of another column; give the objective's term another")

    def __getattr__(self, name: str) -> list[float]:
        """A term as an attribute."""
        try:
            return vars(self)["terms"][name]
        except KeyError:
            raise AttributeError(f"a History of this objective has no column {name!r}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.terms]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, History) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]

    def append(
        self,
        objective: float,
        terms: Mapping[str, float],
        samples: int,
        seconds: float,
        drift: float | None = None,
        anchors: int = 0,
    ) -> None:
        """Add an update of the epoch that is going on."""
        self.epoch.append(self.epochs + 1)
        self.samples.append(samples)
        self.objective.append(objective)
        for name, column in self.terms.items():
            column.append(terms[name])
        self.seconds.append(seconds)
        self.drift.append(drift)
        self.anchors.append(anchors)

    @property
    def updates(self) -> int:
        """The number of updates."""
        return len(self.objective)

    @property
    def epochs(self) -> int:
        """The number of whole epochs."""
        return len(self.epoch_seconds)

    def __repr__(self) -> str:
        shown = [f"epochs={self.epochs}", f"updates={self.updates}"]
        if self.objective:
            shown.append(f"objective={self.objective[-1]:.4f}")
        if self.validation and self.validation[-1] is not None:
            shown.append(f"validation={self.validation[-1]:.4f}")
        if self.stopped:
            shown.append(f"stopped={self.stopped!r}")
        return f"History({', '.join(shown)})"

    def to_dict(self) -> dict[str, Any]:
        """Lists and numbers alone, as JSON takes them.

        Returns:
            `"updates"` and `"epochs"`, each a dict of columns, with means over the samples for each whole epoch; and
            `"stopped"`.
        """
        values = {name: list(column) for name, column in self.terms.items()} | {"objective": list(self.objective)}
        epochs = {
            "epoch": list(range(1, self.epochs + 1)),
            **{name: self._epoch_means(column) for name, column in values.items()},
            "validation": list(self.validation),
            "seconds": list(self.epoch_seconds),
        }
        updates = {"epoch": list(self.epoch), **values}
        updates |= {name: list(getattr(self, name)) for name in ("seconds", "drift", "anchors")}
        return {"updates": updates, "epochs": epochs, "stopped": self.stopped}

    def to_frame(self) -> Any:
        """A pandas frame with a row for each update, numbered from 1. `validation` is in the last row of its epoch.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("History.to_frame needs pandas; write `pip install pandas`, or use to_dict()") from None
        return pandas.DataFrame(self._columns(), index=pandas.RangeIndex(1, self.updates + 1, name="update")).astype(
            {"drift": float, "validation": float}
        )

    def write(self, path: str | os.PathLike) -> None:
        """Write a file: as JSON, what `to_dict` gives, where its name ends with `.json`, and otherwise as CSV, with the
        columns of `to_frame`.

        Raises:
            FileNotFoundError: there is no folder for it.
        """
        with replaced(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            if os.fspath(path).endswith(".json"):
                json.dump(self.to_dict(), file, indent=1)
            else:
                columns = {"update": range(1, self.updates + 1), **self._columns()}
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))

    def _columns(self) -> dict[str, list]:
        """A value for each update; `validation` in the last one of its epoch."""
        last = dict(zip(self._last_updates(), self.validation, strict=True))
        validation = [last.get(update) for update in range(1, self.updates + 1)]
        return {**self.to_dict()["updates"], "validation": validation}

    def plot(self, axes: list[Axes] | None = None) -> list[Axes]:
        """The training log, with the validation objective after each epoch where there is one.

        Args:
            axes: an axis to draw each term on, in turn, and the last one for the objective; a new figure where it is
                `None`.

        Returns:
            The axes.
        """
        from .. import plotting

        if tuple(self.terms) == OF_MAXIMUM_LIKELIHOOD:
            axes = plotting.training_log(
                np.array(self.l2), np.array(self.lgdet), gaussian=self.dimensions / 2, axes=axes
            )
        else:
            axes = plotting.curves({**self.terms, "objective": self.objective}, axes=axes)
        points = [(u, v) for u, v in zip(self._last_updates(), self.validation, strict=True) if v is not None]
        if points:
            axes[-1].plot(*zip(*points, strict=True), color="tab:orange", marker="o", label="Validation")
            axes[-1].legend()
        return axes

    def _last_updates(self) -> list[int]:
        """Of each whole epoch, the number of its last update."""
        return np.searchsorted(self.epoch, np.arange(1, self.epochs + 1), side="right").tolist()

    def _epoch_means(self, values: list[float]) -> list[float]:
        edges = [0, *self._last_updates()]
        return [
            float(np.average(values[first:last], weights=self.samples[first:last]))
            for first, last in itertools.pairwise(edges)
        ]
