"""The commands on files: train a network, draw samples of it, give the log-density of data."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..networks.base.conditional import ConditionalDensity
from ..networks.base.layer import Invertible
from ..networks.base.pair import DensityGivenY, TwoLanesDensity
from ..networks.base.parameters import get_params
from ..storage import npy as sample_files
from ..storage.expressions import Expression
from ..storage.files import check_writable
from ..storage.npy import STANDARD
from ..storage.weights import load, save
from ..training import batches
from ..training.fit import fit
from ..training.history import History
from ..training.loop import KEPT


def train(options: argparse.Namespace) -> int:
    """Write weights and history; the exit status is 1 where the objective was not finite, 130 after Ctrl-C."""
    output = Path(options.output)
    history_file = options.history or output.with_name(f"{output.stem}-history.csv")
    for path in (output, history_file):
        check_writable(path)
    samples = _read(options)
    expression = options.network or Expression(
        "NetworkConditionalGlow" if options.condition else "NetworkGlow", bare=True
    )
    if expression.bare:
        expression = _with_defaults(expression.name, *(array for _, array in samples))
    G = expression.make(options.engine, options.seed)
    X, *condition = _for_network(G, samples, options.condition)
    parameters = sum(math.prod(p.shape) for p in get_params(G))
    _say(f"Training {G!r}: {parameters:,} parameters, {X.shape[-1]:,} samples of shape {X.shape[:-1]}")
    shown = sys.stderr.isatty()
    history = fit(
        G,
        X,
        *condition,
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        validation=options.validation,
        patience=options.patience,
        noise=options.noise,
        seed=options.seed,
        progress=shown,
        callback=None if shown else _say_epoch,
        checkpoint=options.checkpoint,
        resume=options.resume,
    )
    if history.l2:
        save(G, output)
        history.write(history_file)
        print(_result(history, output, history_file))
    if history.stopped is None:
        return 0
    _say(f"Stopped: {history.stopped}")
    return 130 if history.stopped == "interrupted" else int(history.stopped.endswith(KEPT))


def sample(options: argparse.Namespace) -> None:
    if options.output == STANDARD:
        sample_files.check_output(options.output)
    else:
        check_writable(options.output)
    G = _load(options)
    if isinstance(G, TwoLanesDensity) and not isinstance(G, DensityGivenY):
        raise ValueError(f"{G!r} gives two arrays, which one file cannot hold; write G.sample in Python")
    # A copy: an engine may not be given memory that is a file's.
    condition = [array.copy(order="F") for array in _for_network(G, _read(options), options.condition)]
    draw = G.sample_given if isinstance(G, DensityGivenY) else G.sample
    X = draw(options.n, *condition, seed=options.seed, batch_size=options.batch_size)
    sample_files.write(options.output, sample_files.from_network(X), julia_layout=options.julia_layout)


def log_prob(options: argparse.Namespace) -> None:
    if options.output is not None:
        check_writable(options.output)
    G = _load(options)
    parts = _log_probs(G, _for_network(G, _read(options), options.condition), options.batch_size)
    if options.output is not None:
        sample_files.write(options.output, np.concatenate(list(parts)))
        return
    for part in parts:
        print(*part.astype(str), sep="\n", flush=True)


def _log_probs(G: Invertible, arrays: list[np.ndarray], batch_size: int) -> Iterator[np.ndarray]:
    """Batch by batch; a condition may be one for all."""
    n = arrays[0].shape[-1]
    evaluate = G.log_prob_given if isinstance(G, DensityGivenY) else G.log_prob
    for first in range(0, n, batch_size):
        chosen = np.arange(first, min(first + batch_size, n))
        yield evaluate(*(batches.read((a,), chosen if a.shape[-1] > 1 else chosen[:1] * 0)[0] for a in arrays))


def _load(options: argparse.Namespace) -> Invertible:
    """The network, without a word on the engine: training has said it, and here the result is the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return load(options.weights, engine=options.engine)


# Data


def _read(options: argparse.Namespace) -> list[tuple[str, np.ndarray]]:
    """The files that are given, DATA before CONDITION, each with its samples."""
    files = [file for file in (getattr(options, "data", None), options.condition) if file is not None]
    samples = [(file, sample_files.read(file, julia_layout=options.julia_layout)) for file in files]
    if len(files) == 2:
        n, n_conditions = (len(array) for _, array in samples)
        if n_conditions not in (1, n):
            raise ValueError(
                f"{files[0]} has {n} samples, but {files[1]} has {n_conditions}; expected {n}, or one for all"
            )
    return samples


def _for_network(G: Invertible, samples: list[tuple[str, np.ndarray]], condition: str | None) -> list[np.ndarray]:
    if isinstance(G, (ConditionalDensity, TwoLanesDensity)) and condition is None:
        raise ValueError(f"{G!r} takes a condition; give --condition CONDITION.npy")
    if not isinstance(G, (ConditionalDensity, TwoLanesDensity)) and condition is not None:
        raise ValueError(f"{G!r} takes no condition; leave out --condition")
    return [sample_files.to_network(name, array, G._data.ndims, G.dtype) for name, array in samples]


def _with_defaults(name: str, data: np.ndarray, condition: np.ndarray | None = None) -> Expression:
    """A network for these samples, of which only the name is given."""
    spatial = data.shape[2:]
    # Each scale halves an image; the last one still sees some pixels.
    halvings = min((n & -n).bit_length() - 1 for n in spatial) if spatial else 0
    L = max(1, min(3, halvings - 1))
    values: dict[str, Any] = {"n_in": data.shape[1], "n_hidden": 32, "L": L, "K": 10, "depth": 10}
    if condition is not None:
        values["n_cond"] = condition.shape[1]
    if L > 1:
        values["split_scales"] = True
    if len(spatial) in (1, 3):
        values["ndims"] = len(spatial)
    parameters = Expression(name).kind._signature().parameters
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in values]
    if missing:
        advice = "give --condition" if missing == ["n_cond"] else f"write them, as in {name}({missing[0]}=2)"
        raise ValueError(f"{name} has no default for {', '.join(missing)}; {advice}")
    return Expression(name, keywords=tuple((k, v) for k, v in values.items() if k in parameters))


# Words


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say_epoch(G: Invertible, history: History) -> None:
    """For a log file, in place of a bar."""
    objective = history.to_dict()["epochs"]["objective"][-1]
    validation = history.validation[-1]
    shown = "" if validation is None else f", validation {validation:.4f}"
    _say(f"epoch {history.epochs}: objective {objective:.4f}{shown}")


def _result(history: History, output: Path, history_file: Path) -> str:
    validation = [v for v in history.validation if v is not None]
    best = f"; smallest validation objective {min(validation):.4f}" if validation else ""
    return f"{history.epochs} epoch(s), {len(history.l2):,} updates{best}; wrote {output} and {history_file}"
