"""What a training shows while it runs: lines, and below them a bar where a line can be drawn anew."""

from __future__ import annotations

import os
import sys
import textwrap
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
from tqdm import tqdm

from .history import History


class Progress:
    """Lines, and on a terminal or in a notebook a bar on standard error, of which nothing is left at the end.

    Args:
        total: how many updates there will be, `None` where nobody knows.
        made: how many have been made before.
        shown: whether anything is.
    """

    def __init__(self, total: int | None, *, made: int = 0, shown: bool = True) -> None:
        self._shown = shown
        live = shown and _is_live(sys.stderr)
        self._columns = _columns(sys.stderr) if live else None
        self._bar = tqdm(
            total=total,
            initial=made,
            ncols=self._columns,
            unit="update",
            mininterval=0.5,
            leave=False,
            disable=not live,
            bar_format=_bar_format(total is not None, self._columns or 0),
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()

    def update(self, objective: float) -> None:
        """One more update, which found this objective."""
        self._bar.set_description_str(f"objective {objective:.4f} ", refresh=False)
        self._bar.update()

    def epoch(self, history: History) -> None:
        """A line for the epoch that has ended, with the mean objective of its updates."""
        if not self._shown:
            return
        first = bisect_left(history.epoch, history.epochs)
        objective = np.average(history.objective[first:], weights=history.samples[first:])
        validation = history.validation[-1]
        held_out = "" if validation is None else f", validation {validation:.4f}"
        self.line(f"epoch {history.epochs}: objective {objective:.4f}{held_out}", sys.stderr)

    def line(self, text: str, file: TextIO) -> None:
        """A line above the bar, of which a terminal breaks no word."""
        if self._columns is not None and file.isatty():
            text = textwrap.fill(text, self._columns, subsequent_indent="  ", break_on_hyphens=False)
        tqdm.write(text, file=file)
        file.flush()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Without the bar, so that others can write."""
        self._bar.clear()
        yield
        self._bar.refresh()


def _is_live(stream: TextIO) -> bool:
    """Whether a line that was written can be drawn anew: on a terminal, and in a notebook."""
    return stream.isatty() or type(stream).__module__.startswith("ipykernel.")


def _columns(stream: TextIO) -> int:
    try:
        return int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def _bar_format(known: bool, columns: int) -> str:
    """What does not fit a narrow terminal is left out, rather than cut."""
    wide = columns >= 60
    if known:
        return "{desc}{percentage:3.0f}%|{bar}| " + (
            "{n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}]" if wide else "{remaining}"
        )
    return "{desc}{n_fmt} updates" + (" [{elapsed}, {rate_fmt}]" if wide else "")
