"""The commands on files: train a network, draw samples of it, give the log-density of data."""

from __future__ import annotations

import argparse
import math
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from ..arrays.stored import StoredArray, take
from ..networks.base.layer import Layer
from ..networks.base.parameters import get_params
from ..networks.base.wrapper import network_of
from ..storage import datasets
from ..storage import npy as sample_files
from ..storage.expressions import Expression
from ..storage.files import same_file
from ..storage.npy import STANDARD
from ..storage.weights import load, save
from ..training.batches import check_finite
from ..training.fit import fit
from ..training.history import History
from ..training.loop import KEPT
from ..training.ranks import Alone, ranks_of
from . import places
from .processes import world


def train(options: argparse.Namespace) -> int:
    """Write weights and history; the exit status is 1 where the objective was not finite or a disk was full, 130 after
    Ctrl-C."""
    comm = world()
    ranks = ranks_of(comm)
    with ranks.agreed():
        return _train(options, comm, _say if ranks.speaks else _say_nothing)


def _train(options: argparse.Namespace, comm: Any, say: Callable[[str], None]) -> int:
    output = Path(options.output)
    history_file = options.history or output.with_name(f"{output.stem}-history.csv")
    checkpoint = options.checkpoint or options.resume
    places.check(
        {**_data_files(options), "--resume": options.resume},
        {"--output": output, "--history": history_file, "--checkpoint": checkpoint},
        overwrite=options.overwrite,
        goes_on=options.resume if checkpoint == options.resume else None,
    )
    samples = _read(options)
    expression = options.network or Expression(
        "NetworkConditionalGlow" if options.condition else "NetworkGlow", bare=True
    )
    if expression.bare:
        expression = _with_defaults(expression.name, *samples)
    G = expression.make(options.engine, options.seed)
    X, *condition = _for_network(G, samples, options)
    parameters = sum(math.prod(p.shape) for p in get_params(G))
    say(f"Training {G!r}: {parameters:,} parameters, {X.shape[-1]:,} samples of shape {X.shape[:-1]}")
    history, full = History(), None

    def after_epoch(G: Layer, so_far: History) -> None:
        nonlocal history
        history = so_far

    try:
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
            callback=after_epoch,
            checkpoint=checkpoint,
            resume=options.resume,
            comm=comm,
        )
    except OSError as error:
        if error.errno is None or checkpoint is None or not same_file(error.filename or "", checkpoint):
            raise
        full = error
    return _keep(G, history, output, history_file, full) if ranks_of(comm).speaks else 0


def _keep(G: Layer, history: History, output: Path, history_file: Path, full: OSError | None) -> int:
    """Write what training gave, and say where and how it ended.

    Args:
        full: the error that ended training, where a checkpoint could not be written.
    """
    stopped = history.stopped or ""
    half_way = full is not None or stopped == "interrupted" or stopped.endswith(KEPT)
    if half_way and output.is_file():  # good weights are never replaced by half-trained ones
        output, history_file = places.beside(output, "stopped"), places.beside(history_file, "stopped")
    trouble = [] if full is None else [full]
    kept = []
    for write, path in ((lambda place: save(G, place), output), (history.write, history_file)):
        if history.l2 or (full is not None and path is output):
            place, error = places.written(write, path)
            kept.append(str(place))
            trouble += [] if error is None else [error]
    for error in trouble:
        _say(places.reason(error))
    if kept:
        print(_result(history, kept))
    if stopped:
        _say(f"Stopped: {stopped}")
    return 130 if stopped == "interrupted" else int(half_way or bool(trouble))


def sample(options: argparse.Namespace) -> None:
    ranks = ranks_of(world())
    with ranks.agreed():
        samples = _sample(options, ranks)
        if ranks.speaks:
            sample_files.write(options.output, samples, julia_layout=options.julia_layout)


def _sample(options: argparse.Namespace, ranks: Alone) -> np.ndarray:
    """All samples, of which each process draws its share."""
    sample_files.check_output(options.output)
    _check_places(options, {"--output": None if options.output == STANDARD else options.output})
    G = _load(options)
    if len(G.signature.inputs) > 1 and not G.signature.density_given:
        raise ValueError(f"{G!r} gives two arrays, which one file cannot hold; write G.sample in Python")
    # A copy: an engine may not be given memory that is a file's.
    condition = [_in_memory(array).copy(order="F") for array in _for_network(G, _read(options), options)]
    draw = G.sample_given if G.signature.density_given else G.sample
    if options.each and not condition:
        raise ValueError("--each draws samples for each of several conditions; give --condition CONDITION.npy")
    each = {"each": True} if options.each else {}
    seed = ranks.of_first(lambda: np.random.SeedSequence().entropy if options.seed is None else options.seed)
    share = (ranks.rank, ranks.size)
    X = draw(options.n, *condition, **each, seed=seed, batch_size=options.batch_size, share=share)
    X = np.concatenate(ranks.gathered(X), axis=-1)
    if options.each:
        X = X.reshape((*X.shape[:-1], condition[0].shape[-1], options.n), order="F")
    return sample_files.from_network(X, axes=2 if options.each else 1)


def log_prob(options: argparse.Namespace) -> None:
    ranks = ranks_of(world())
    with ranks.agreed():
        _check_places(options, {"--output": options.output})
        G = _load(options)
        parts = _log_probs(G, _for_network(G, _read(options), options), options.batch_size, ranks)
        if options.output is not None or ranks.size > 1:
            parts = chain.from_iterable(ranks.gathered(list(parts)))
        if ranks.speaks:
            _write_log_probs(options.output, parts)


def _write_log_probs(output: str | None, parts: Iterable[np.ndarray]) -> None:
    if output is not None:
        sample_files.write(output, np.concatenate(list(parts)))
        return
    for part in parts:
        print(*part.astype(str), sep="\n", flush=True)


def _log_probs(G: Layer, arrays: list[np.ndarray], batch_size: int, ranks: Alone) -> Iterator[np.ndarray]:
    """This process's share of the batches, one after the other; a condition may be one for all."""
    n = arrays[0].shape[-1]
    evaluate = G.log_prob_given if G.signature.density_given else G.log_prob
    for first in range(0, n, batch_size)[ranks.share(-(-n // batch_size))]:
        chosen = np.arange(first, min(first + batch_size, n))
        parts = [take(a, chosen if a.shape[-1] > 1 else chosen[:1] * 0) for a in arrays]
        for part in parts:
            check_finite("log-prob", part, chosen)
        yield evaluate(*parts)


def _in_memory(array: np.ndarray | StoredArray) -> np.ndarray:
    return take(array, np.arange(array.shape[-1]))


def _load(options: argparse.Namespace) -> Layer:
    """The network, without a word on the engine: training has said it, and here the result is the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return network_of(load(options.weights, engine=options.engine))


# Data


def _check_places(options: argparse.Namespace, writes: places.Paths) -> None:
    places.check({"WEIGHTS": options.weights, **_data_files(options)}, writes, overwrite=options.overwrite)


def _data_files(options: argparse.Namespace) -> places.Paths:
    """The files that hold DATA and CONDITION, without the names of datasets in them."""
    given = {"DATA": getattr(options, "data", None), "--condition": options.condition}
    return {name: None if text is None else datasets.split(text)[0] for name, text in given.items()}


def _read(options: argparse.Namespace) -> list[tuple[str, np.ndarray]]:
    """The files that are given, DATA before CONDITION, each with its samples."""
    files = [file for file in (getattr(options, "data", None), options.condition) if file is not None]
    samples = [(file, sample_files.read(file, julia_layout=options.julia_layout)) for file in files]
    if len(files) == 2:
        n, n_conditions = (array.shape[0] for _, array in samples)
        if n_conditions not in (1, n):
            raise ValueError(
                f"{files[0]} has {n} samples, but {files[1]} has {n_conditions}; expected {n}, or one for all"
            )
    return samples


def _for_network(G: Layer, samples: list[tuple[str, np.ndarray]], options: argparse.Namespace) -> list[np.ndarray]:
    *inputs, last = (*G.signature.inputs.values(), *filter(None, (G.signature.condition,)))
    if inputs and options.condition is None:
        raise ValueError(f"{G!r} takes a condition; give --condition CONDITION.npy")
    if not inputs and options.condition is not None:
        raise ValueError(f"{G!r} takes no condition; leave out --condition")
    specs = (*inputs, last)[-len(samples) :] if samples else ()
    arrays = []
    for (name, array), spec in zip(samples, specs, strict=True):
        misfit = sample_files.misfit(array, spec)
        if misfit:
            shape, axes = sample_files.layout(array, julia_layout=options.julia_layout)
            raise ValueError(f"{name} of shape {shape}, that is {axes}, does not fit {G!r}: {misfit}")
        arrays.append(sample_files.to_network(name, array, G.signature.data.ndims, G.dtype))
    return arrays


def _with_defaults(name: str, data: tuple[str, np.ndarray], condition: tuple[str, np.ndarray] | None = None):
    """A network for these samples, of which only the name is given."""
    spatial = data[1].shape[2:]
    if data[1].shape[1] == 1 and not spatial:
        raise ValueError(
            f"{data[0]} has rows of one column, expected two or more: a coupling layer changes some columns as the "
            "others say. Add one, such as standard normal noise"
        )
    # Each scale halves an image; the last one still sees some pixels.
    halvings = min((n & -n).bit_length() - 1 for n in spatial) if spatial else 0
    L = max(1, min(3, halvings - 1))
    values: dict[str, Any] = {"n_in": data[1].shape[1], "n_hidden": 32, "L": L, "K": 10, "depth": 10}
    if condition is not None:
        values["n_cond"] = condition[1].shape[1]
    if L > 1:
        values["split_scales"] = True
    if len(spatial) in (1, 3):
        values["ndims"] = len(spatial)
    parameters = Expression(name).kind.constructor().parameters
    missing = [p.name for p in parameters.values() if p.default is p.empty and p.name not in values]
    if missing:
        advice = "give --condition" if missing == ["n_cond"] else f"write them, as in {name}({missing[0]}=2)"
        raise ValueError(f"{name} has no default for {', '.join(missing)}; {advice}")
    return Expression(name, keywords=tuple((k, v) for k, v in values.items() if k in parameters))


# Words


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _say_nothing(text: str) -> None:
    pass


def _result(history: History, kept: list[str]) -> str:
    if not history.l2:
        return f"the weights before the first epoch's end; wrote {' and '.join(kept)}"
    validation = [v for v in history.validation if v is not None]
    best = f"; smallest validation objective {min(validation):.4f}" if validation else ""
    return f"{history.epochs} epoch(s), {len(history.l2):,} updates{best}; wrote {' and '.join(kept)}"
