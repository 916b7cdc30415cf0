"""The state of a training on disk: a safetensors file that is always whole. No pickle."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..storage.weights import damage_named, read, versions, write
from .history import OF_MAXIMUM_LIKELIHOOD, History

_FORMAT = "pyinvnets-fit-1"

_COLUMNS = {
    "epoch": np.int64,
    "samples": np.int64,
    "objective": np.float64,
    "seconds": np.float64,
    "drift": np.float64,
    "anchors": np.int64,
    "validation": np.float64,
    "epoch_seconds": np.float64,
}
"""The columns of every history and their types in the file, where `None` is NaN. Terms are float64."""


@dataclass
class Checkpoint:
    """All that training goes on from.

    Attributes:
        settings: what must be the same when it goes on.
        weights: the network's, after the last epoch.
        best: those with the smallest validation objective so far; empty without validation.
        optimiser: its `state_dict`.
        generator: the state of NumPy's bit generator.
        smallest: the smallest validation objective.
        waited: the number of epochs since then.
        spatial: as the network's.
        history: up to the last epoch.
        spacings: the network's; `None` in earlier files.
    """

    settings: dict[str, Any]
    weights: dict[str, np.ndarray]
    best: dict[str, np.ndarray]
    optimiser: dict[str, np.ndarray]
    generator: dict[str, Any]
    smallest: float | None
    waited: int
    spatial: list[int] | None
    history: History
    spacings: list[int] | None = None


_GROUPS = ("weights", "best", "optimiser")

_VALUES = [f.name for f in fields(Checkpoint) if f.name not in (*_GROUPS, "history")]


def write_checkpoint(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write the file beside its place and move it there, so that a crash leaves the old one whole."""
    history = checkpoint.history
    columns = {name: (getattr(history, name), dtype) for name, dtype in _COLUMNS.items()}
    columns |= {name: (column, np.float64) for name, column in history.terms.items()}
    arrays = {f"history/{name}": np.array(column, dtype) for name, (column, dtype) in columns.items()}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": array for name, array in getattr(checkpoint, group).items()}
    values = {name: getattr(checkpoint, name) for name in _VALUES}
    others = {"dimensions": history.dimensions, "stopped": history.stopped, "terms": list(history.terms)}
    metadata = {"format": _FORMAT, "state": json.dumps(values), "history": json.dumps(others), "versions": versions()}
    write(path, arrays, metadata)


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """What `write_checkpoint` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated or damaged, or not a checkpoint.
    """
    metadata, arrays = read(path, _FORMAT, "pyinvnets.fit(checkpoint=...)")
    with damage_named(path):
        groups: dict[str, dict[str, Any]] = {name: {} for name in (*_GROUPS, "history")}
        for key, array in arrays.items():
            group, name = key.split("/", 1)
            groups[group][name] = array
        history = _read_history(groups.pop("history"), json.loads(metadata["history"]))
        checkpoint = Checkpoint(**groups, **json.loads(metadata["state"]), history=history)
        _check(checkpoint)
    return checkpoint


def _read_history(columns: dict[str, np.ndarray], others: dict[str, Any]) -> History:
    terms = others.pop("terms", list(OF_MAXIMUM_LIKELIHOOD))
    _expect(isinstance(terms, list) and all(isinstance(name, str) for name in terms), "history.terms")
    if "objective" not in columns:  # Earlier files have the terms alone.
        columns["objective"] = columns["l2"] - columns["lgdet"]
    columns = {"drift": np.full(len(columns["objective"]), np.nan), **columns}
    columns = {"anchors": np.zeros(len(columns["objective"]), np.int64), **columns}
    types = {**_COLUMNS, **dict.fromkeys(terms, np.float64)}
    _expect(columns.keys() == types.keys(), "history, whose columns are not those of its terms")
    for name, dtype in types.items():
        _expect(columns[name].dtype == dtype and columns[name].ndim == 1, f"history/{name}")
    history = History.with_terms(terms)
    for name in terms:
        history.terms[name] = columns[name].tolist()
    for name in _COLUMNS:
        setattr(history, name, columns[name].tolist())
    for name in ("validation", "drift"):
        setattr(history, name, [None if np.isnan(v) else v for v in getattr(history, name)])
    history.dimensions, history.stopped = others["dimensions"], others["stopped"]
    _check_history(history)
    return history


def _check_history(history: History) -> None:
    of_updates = (history.epoch, history.samples, history.objective, history.seconds, *history.terms.values())
    of_updates += (history.drift, history.anchors)
    _expect(
        len(set(map(len, of_updates))) == 1 and len(history.validation) == history.epochs,
        "history has columns of unequal length",
    )
    # Epochs are whole where a checkpoint is written, and each has an update.
    whole = list(range(1, history.epochs + 1))
    _expect(
        bool(whole) and sorted(set(history.epoch)) == whole and sorted(history.epoch) == history.epoch, "history.epoch"
    )
    _expect(min(history.samples) > 0, "history.samples")
    _expect(_is_count(history.dimensions), "history.dimensions")
    _expect(history.stopped is None or isinstance(history.stopped, str), "history.stopped")


def _check(checkpoint: Checkpoint) -> None:
    """Raise ValueError where training could not go on from it, so that nothing is half restored."""
    _expect(isinstance(checkpoint.settings, dict), "settings")
    seed = checkpoint.settings["seed"]
    _expect(seed is None or _is_count(seed), "settings.seed")
    _expect(bool(checkpoint.weights), "weights")
    for group in _GROUPS:
        for name, array in getattr(checkpoint, group).items():
            _expect(group == "optimiser" or array.dtype.kind == "f", f"{group}/{name}")
    shapes, best = ({n: a.shape for n, a in group.items()} for group in (checkpoint.weights, checkpoint.best))
    _expect(not best or best == shapes, "best, which has other parameters than weights")
    smallest = checkpoint.smallest
    _expect(smallest is None or (isinstance(smallest, float) and math.isfinite(smallest)), "smallest")
    _expect((smallest is None) == (not best), "smallest, which goes with best")
    _expect(_is_count(checkpoint.waited), "waited")
    spatial = checkpoint.spatial
    sizes = spatial if isinstance(spatial, list) and len(spatial) <= 3 else [0]
    _expect(spatial is None or all(_is_count(n) and n for n in sizes), "spatial")
    spacings = checkpoint.spacings
    _expect(
        spacings is None
        or (isinstance(spacings, list) and bool(spacings) and all(_is_count(n) and n for n in spacings)),
        "spacings",
    )
    np.random.default_rng(0).bit_generator.state = checkpoint.generator


def _expect(good: bool, what: str) -> None:
    """Raise ValueError unless `good`."""
    if not good:
        raise ValueError(f"its state is damaged: {what}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
