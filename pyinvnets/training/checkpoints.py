"""The state of a training on disk: a safetensors file that is always whole. No pickle."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..storage.weights import read, versions, write
from .history import History

_FORMAT = "pyinvnets-fit-1"

_COLUMNS = {
    "epoch": np.int64,
    "samples": np.int64,
    "l2": np.float64,
    "lgdet": np.float64,
    "seconds": np.float64,
    "validation": np.float64,
    "epoch_seconds": np.float64,
}
"""What is long of a history, and its type in the file; no validation is NaN there."""


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


_GROUPS = ("weights", "best", "optimiser")

_VALUES = [f.name for f in fields(Checkpoint) if f.name not in (*_GROUPS, "history")]


def write_checkpoint(path: str | os.PathLike, checkpoint: Checkpoint) -> None:
    """Write the file beside its place and move it there, so that a crash leaves the old one whole."""
    history = asdict(checkpoint.history)
    arrays = {f"history/{name}": np.array(history.pop(name), dtype) for name, dtype in _COLUMNS.items()}
    for group in _GROUPS:
        arrays |= {f"{group}/{name}": array for name, array in getattr(checkpoint, group).items()}
    values = {name: getattr(checkpoint, name) for name in _VALUES}
    metadata = {"format": _FORMAT, "state": json.dumps(values), "history": json.dumps(history), "versions": versions()}
    write(path, arrays, metadata)


def read_checkpoint(path: str | os.PathLike) -> Checkpoint:
    """What `write_checkpoint` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is truncated, or not a checkpoint.
    """
    metadata, arrays = read(path, _FORMAT, "pyinvnets.fit(checkpoint=...)")
    groups: dict[str, dict[str, np.ndarray]] = {name: {} for name in (*_GROUPS, "history")}
    for key, array in arrays.items():
        group, name = key.split("/", 1)
        groups[group][name] = array
    columns = {name: array.tolist() for name, array in groups.pop("history").items()}
    columns["validation"] = [None if np.isnan(v) else v for v in columns["validation"]]
    history = History(**columns, **json.loads(metadata["history"]))
    return Checkpoint(**groups, **json.loads(metadata["state"]), history=history)
