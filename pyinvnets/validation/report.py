"""`python -m pyinvnets validate`: every layer and network on both engines, or against packaged golden vectors.

With Julia, each case of `pyinvnets.cases` runs on both engines with the same parameters, copied by name, and the same
random inputs. Without it, the NumPy engine is checked against what InvertibleNetworks.jl itself computed.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ..engines import julia
from ..networks.base.parameters import clear_grad, get_params
from ..storage.files import check_writable, replaced
from .cases import CASES, Run, as_tuple
from .golden import CASES as GOLDEN_CASES
from .golden import FOLDER, Golden, arguments, initial_state, residuals

BOUNDS = {"float64": 1e-10, "float32": 2e-4}
"""The largest relative difference allowed.

Both engines do the same arithmetic in another order, so they differ by rounding alone, which inverses amplify by the
condition of the layers. Measured over all cases, the largest is 3e-14 in float64 and 2e-5 in float32 (gradients of a
Householder vector, a difference of near numbers): the bounds leave room for other processors and libraries, and a
mistake in a formula is far above them.
"""

QUANTITIES = ("output", "lgdet", "input gradient", "parameter gradients", "inverse")

_UNABLE = "InvertibleNetworks.jl 2.3.1 cannot"


@dataclass
class Row:
    """What one case gave.

    Attributes:
        name: of the case.
        dtype: `"float32"` or `"float64"`.
        status: `"ok"`, `"wrong"` where a difference exceeds its bound, `"error"` where an engine raised, `"skipped"`.
        differences: the largest relative difference of each quantity that the case has.
        message: of the error, or why it was skipped.
    """

    name: str
    dtype: str
    status: str = "ok"
    differences: dict[str, float] = field(default_factory=dict)
    message: str = ""


def relative_error(got: np.ndarray | float, expected: np.ndarray | float) -> float:
    """The largest difference relative to the largest magnitude expected; a number of less than 1 counts as 1.

    Raises:
        ValueError: the shapes differ.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise ValueError(f"got shape {got.shape}, expected {expected.shape}")
    scale = np.abs(expected).max()
    if expected.ndim == 0:
        scale = max(scale, 1.0)  # A log-determinant is a sum of terms that may cancel.
    return float(np.abs(got - expected).max() / (scale if scale > 0 else 1.0))


def largest(got: Iterable, expected: Iterable) -> float:
    """The largest relative error over pairs; NaN where any is."""
    return float(np.max([0.0, *(relative_error(g, e) for g, e in zip(got, expected, strict=True))]))


def gradients(network) -> list[np.ndarray]:
    return [p.grad.copy() for p in get_params(network)]


def compare_engines(name: str, dtype: str) -> Row:
    """One case on both engines, on the Julia engine against the NumPy engine."""
    row, case = Row(name, dtype), CASES[name]
    state = case.network("numpy").state_dict()
    expected, got = (Run(case, engine, dtype, state) for engine in ("numpy", "julia"))
    row.differences["output"] = largest(got.outputs, expected.outputs)
    if case.logdet:
        row.differences["lgdet"] = relative_error(got.lgdet, expected.lgdet)
    # Both go back from the same outputs, so that a difference in these is not counted again.
    got.outputs, got.residuals = expected.outputs, expected.residuals
    pairs = [*zip(got.backward(), expected.backward(), strict=True)]
    row.differences["input gradient"] = largest(*pairs[0])
    row.differences["parameter gradients"] = largest(gradients(got.network), gradients(expected.network))
    if case.invertible:
        row.differences["inverse"] = max(largest(got.inverse(), expected.inverse()), largest(*pairs[1]))
    return row


def compare_golden(name: str) -> Row:
    """One golden case, on the NumPy engine."""
    golden = Golden(name)
    dtype = golden["in/0"].dtype
    network = GOLDEN_CASES[name](engine="numpy").astype(dtype)
    row = Row(f"{network.title}, {name}", dtype.name)
    network.load_state_dict(initial_state(name, golden))
    results, expected = as_tuple(network.forward(*golden.series("in"))), golden.series("out")
    arrays = [(g, e) for g, e in zip(results, expected, strict=True) if e.ndim]
    row.differences["output"] = largest(*zip(*arrays, strict=True))
    if len(arrays) < len(results):
        row.differences["lgdet"] = relative_error(results[-1], expected[-1])
    for_inverse, for_backward = arguments(name, golden)
    if golden.series("inverse"):
        row.differences["inverse"] = largest(as_tuple(network.inverse(*for_inverse)), golden.series("inverse"))
    if golden.series("cotangent"):
        clear_grad(network)
        backward = as_tuple(network.backward(*residuals(name, golden), *for_backward))
        row.differences["input gradient"] = largest(backward, golden.series("backward"))
        expected_gradients = [golden[f"grad/{p.name}"] for p in get_params(network)]
        row.differences["parameter gradients"] = largest(gradients(network), expected_gradients)
    return row


def judged(compare: Callable[..., Row], name: str, *dtype: str) -> Row:
    """The row of a case, whatever happens."""
    try:
        row = compare(name, *dtype)
    except Exception as error:
        status = "skipped" if _UNABLE in str(error) else "error"
        return Row(name, *(dtype or ("",)), status, message=f"{type(error).__name__}: {error}")
    # A NaN is within no bound.
    if not all(difference <= BOUNDS[row.dtype] for difference in row.differences.values()):
        row.status = "wrong"
    return row


def kind_of(name: str) -> str:
    """The layer or network of a case: `NetworkGlow, split` is a NetworkGlow."""
    return name.split(", ")[0]


def chosen(names: Iterable[str], only: str | None) -> list[str]:
    """The cases of the layer or network called `only`, or the one case called so.

    Raises:
        ValueError: there is none.
    """
    names = list(names)
    found = [name for name in names if only is None or only in (name, kind_of(name))]
    if not found:
        kinds = ", ".join(dict.fromkeys(map(kind_of, names)))
        raise ValueError(f"there is no layer or network {only!r} to validate; expected one of {kinds}")
    return found


def engines_rows(only: str | None) -> list[Row]:
    names = chosen(CASES, only)
    print(f"NumPy engine beside Julia engine, {len(names)} cases, each in float64 and float32", flush=True)
    pairs = [(name, dtype) for name in names for dtype in BOUNDS]
    return [judged(compare_engines, *pair) for pair in _progress(pairs)]


def golden_rows(only: str | None) -> list[Row]:
    """The golden files that are here; a layer or network without one is said to be skipped."""
    print("Julia is not set up here (see `python -m pyinvnets doctor`), so nothing is run on the Julia engine:")
    print("the NumPy engine is checked against golden vectors that InvertibleNetworks.jl 2.3.1 computed.", flush=True)
    wanted = {kind_of(name) for name in chosen(CASES, only)}
    titles = {name: make(engine="numpy").title for name, make in GOLDEN_CASES.items()}
    present = [name for name, title in titles.items() if title in wanted and (FOLDER / f"{name}.npz").is_file()]
    rows = [judged(compare_golden, name) for name in _progress(present)]
    left = [kind for kind in map(kind_of, CASES) if kind in wanted - {titles[name] for name in present}]
    skipped = "no golden vectors are packaged for it"
    return rows + [Row(kind, "", "skipped", message=skipped) for kind in dict.fromkeys(left)]


def _progress(items: list) -> Iterable:
    return tqdm(items, unit="case", file=sys.stderr, mininterval=0.5, disable=None)  # in a log file a bar is noise


_NAME = 36
"""Columns of the table for a name; a longer one has a line of its own."""

_WIDTH = 100
"""Columns of the table."""


def table(rows: list[Row]) -> str:
    """The rows as text, a column for each quantity, no wider than a terminal of 100 columns."""
    width = min(_NAME, max(len(row.name) for row in rows))
    lines = [
        "largest relative differences; bounds: " + ", ".join(f"{b:.0e} in {dtype}" for dtype, b in BOUNDS.items()),
        "",
        *(f"{'':{width + 8}}{line}" for line in _header()),
    ]
    for row in rows:
        name = row.name
        if len(name) > width:
            lines.append(name)
            name = ""
        start = f"{name:{width}} {row.dtype:7}"
        if row.message:
            text = (
                f"{start} {row.status}: {row.message}" if row.dtype else f"{name:{width}} {row.status}: {row.message}"
            )
            lines += textwrap.wrap(text, _WIDTH, subsequent_indent="    ")
            continue
        cells = (f"{row.differences[q]:.1e}" if q in row.differences else "-" for q in QUANTITIES)
        mark = "" if row.status == "ok" else f" {row.status}"
        lines.append(start + "".join(f"{cell:>10}" for cell in cells) + mark)
    return "\n".join(lines)


def _header() -> list[str]:
    """The names of the quantities, those of two words in two lines."""
    words = [quantity.rsplit(" ", 1) for quantity in QUANTITIES]
    upper = "".join(f"{word[0] if len(word) == 2 else '':>10}" for word in words)
    return [upper, "".join(f"{word[-1]:>10}" for word in words)]


def run(only: str | None = None, json_file: Path | None = None) -> int:
    """Print the table of differences.

    Args:
        only: a layer or network, such as `NetworkGlow`, or one case, such as `NetworkGlow, split`.
        json_file: where to write the rows as well.

    Returns:
        The exit status, 1 where a difference exceeds its bound or an engine raised, or nothing was compared.

    Raises:
        ValueError: nothing is called `only`.
        OSError: the file cannot be written; before anything is compared.
    """
    if json_file is not None:
        check_writable(json_file)
    with_julia = julia.ready()
    rows = (engines_rows if with_julia else golden_rows)(only)
    print(table(rows))
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "wrong", "error", "skipped")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if json_file is not None:
        with replaced(json_file) as temporary:
            Path(temporary).write_text(json.dumps(report(rows, with_julia), indent=1) + "\n")
    return int(counts["wrong"] + counts["error"] > 0 or counts["ok"] == 0)


def report(rows: list[Row], with_julia: bool) -> dict:
    """What `--json` writes; a difference that is not finite is `null`."""
    against = "julia" if with_julia else "golden vectors"
    listed = [asdict(row) for row in rows]
    for row in listed:
        row["differences"] = {q: d if np.isfinite(d) else None for q, d in row["differences"].items()}
    return {"engine": "numpy", "against": against, "bounds": BOUNDS, "rows": listed}
