"""What `fit` measured, update by update and epoch by epoch."""

from __future__ import annotations

import csv
import itertools
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..storage.files import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(repr=False)
class History:
    """The course of a training.

    Attributes:
        epoch: of each update, from 1.
        samples: in the batch of each update.
        l2: half the squared norm of the latent, the mean over the batch, for each update.
        lgdet: the log-determinant, likewise.
        seconds: of each update.
        validation: the objective of the held-out samples after each epoch, `None` where none are held out.
        epoch_seconds: of each epoch, with reading, validation and checkpoint.
        dimensions: of a sample; the latents' where there are two.
        stopped: why training ended before its last epoch, or `None`.
    """

    epoch: list[int] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    l2: list[float] = field(default_factory=list)
    lgdet: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    validation: list[float | None] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    dimensions: int = 0
    stopped: str | None = None

    @property
    def objective(self) -> list[float]:
        """`l2 - lgdet` of each update."""
        return [a - b for a, b in zip(self.l2, self.lgdet, strict=True)]

    @property
    def epochs(self) -> int:
        """The number of whole epochs."""
        return len(self.epoch_seconds)

    def __repr__(self) -> str:
        shown = [f"epochs={self.epochs}", f"updates={len(self.l2)}"]
        if self.l2:
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
        updates: dict[str, list[Any]] = {
            "epoch": list(self.epoch),
            "l2": list(self.l2),
            "lgdet": list(self.lgdet),
            "objective": self.objective,
            "seconds": list(self.seconds),
        }
        epochs = {
            "epoch": list(range(1, self.epochs + 1)),
            **{name: self._epoch_means(updates[name]) for name in ("l2", "lgdet", "objective")},
            "validation": list(self.validation),
            "seconds": list(self.epoch_seconds),
        }
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
        return pandas.DataFrame(self._columns(), index=pandas.RangeIndex(1, len(self.l2) + 1, name="update")).astype(
            {"validation": float}
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
                columns = {"update": range(1, len(self.l2) + 1), **self._columns()}
                writer = csv.writer(file)
                writer.writerow(columns)
                writer.writerows(zip(*columns.values(), strict=True))

    def _columns(self) -> dict[str, list]:
        """A value for each update; `validation` in the last one of its epoch."""
        last = dict(zip(self._last_updates(), self.validation, strict=True))
        validation = [last.get(update) for update in range(1, len(self.l2) + 1)]
        return {**self.to_dict()["updates"], "validation": validation}

    def plot(self, axes: list[Axes] | None = None) -> list[Axes]:
        """The training log, with the validation objective after each epoch where there is one.

        Args:
            axes: three axes to draw on, a new figure where it is `None`.

        Returns:
            The axes.
        """
        from .. import plotting

        axes = plotting.training_log(np.array(self.l2), np.array(self.lgdet), gaussian=self.dimensions / 2, axes=axes)
        points = [(u, v) for u, v in zip(self._last_updates(), self.validation, strict=True) if v is not None]
        if points:
            axes[2].plot(*zip(*points, strict=True), color="tab:orange", marker="o", label="Validation")
            axes[2].legend()
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
