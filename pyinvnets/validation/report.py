"""`python -m pyinvnets validate`: every layer and network on both engines, or against packaged golden vectors.

With Julia, each case of `pyinvnets.validation.cases` runs on both engines with the same parameters, copied by name, and
the same random inputs. Without it, the NumPy engine is checked against what InvertibleNetworks.jl itself computed, and
where there is nothing of that against mathematics.
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
from . import mathematics
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
        differences: the largest relative difference of each quantity that the case has; of a case that is held
            against mathematics, what `mathematics.checks` gives.
        message: of the error, or why it was skipped.
        against: `"julia"`, `"golden vectors"` or `"mathematics"`.
    """

    name: str
    dtype: str
    status: str = "ok"
    differences: dict[str, float] = field(default_factory=dict)
    message: str = ""
    against: str = "julia"

    def is_right(self) -> bool:
        """Whether each difference is within its bound. A NaN is within none."""
        if self.against == "mathematics":
            bounds, expected = mathematics.BOUNDS, mathematics.EXPECTED
            return all(abs(value - expected[q]) <= bounds[q] for q, value in self.differences.items())
        return all(difference <= BOUNDS[self.dtype] for difference in self.differences.values())


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
    row = Row(f"{network.title}, {name}", dtype.name, against="golden vectors")
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


def check_mathematics(name: str) -> Row:
    """One case, on the NumPy engine."""
    run = Run(CASES[name], "numpy")
    return Row(name, run.dtype.name, differences=mathematics.checks(run), against="mathematics")


def judged(compare: Callable[..., Row], name: str, *dtype: str) -> Row:
    """The row of a case, whatever happens."""
    try:
        row = compare(name, *dtype)
    except Exception as error:
        status = "skipped" if _UNABLE in str(error) else "error"
        return Row(name, *(dtype or ("",)), status, message=f"{type(error).__name__}: {error}")
    if not row.is_right():
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


def numpy_rows(only: str | None) -> list[Row]:
    """Of each layer and network the golden files that are here, or its cases where there is none."""
    print("Julia is not set up here (see `python -m pyinvnets doctor`), so nothing is run on the Julia engine:")
    print("the NumPy engine is checked against golden vectors that InvertibleNetworks.jl 2.3.1 computed, and")
    print("what has none packaged against mathematics.", flush=True)
    names = chosen(CASES, only)
    wanted = set(map(kind_of, names))
    titles = {name: make(engine="numpy").title for name, make in GOLDEN_CASES.items()}
    present = [name for name, title in titles.items() if title in wanted and (FOLDER / f"{name}.npz").is_file()]
    covered = {titles[name] for name in present}
    left = [name for name in names if kind_of(name) not in covered]
    tasks = [*((compare_golden, name) for name in present), *((check_mathematics, name) for name in left)]
    return [judged(*task) for task in _progress(tasks)]


def _progress(items: list) -> Iterable:
    return tqdm(items, unit="case", file=sys.stderr, mininterval=0.5, leave=False, disable=None)


_NAME = 36
"""Columns of the table for a name; a longer one has a line of its own."""

_WIDTH = 100
"""Columns of the table."""


def table(rows: list[Row]) -> str:
    """The rows as text, a column for each quantity, no wider than a terminal of 100 columns."""
    compared = [row for row in rows if row.against != "mathematics"]
    proved = [row for row in rows if row.against == "mathematics"]
    bounds = ", ".join(f"{bound:.0e} in {dtype}" for dtype, bound in BOUNDS.items())
    parts = []
    if compared:
        parts += [f"largest relative differences; bounds: {bounds}", "", *_table(compared, QUANTITIES), ""]
    if proved:
        parts += [*_MATHEMATICS, "", *_table(proved, tuple(mathematics.BOUNDS)), ""]
    return "\n".join(parts)


_MATHEMATICS = (
    "mathematics: how far the inverse of forward is from its input (bound 1e-09), the log-determinant",
    "from that of a Jacobian by differences (1e-06); and the order at which the remainder of a Taylor",
    "expansion falls, two where gradients are right (within 0.1)",
)


def _table(rows: list[Row], quantities: tuple[str, ...]) -> list[str]:
    width = min(_NAME, max(len(row.name) for row in rows))
    lines = [f"{'':{width + 8}}{line}".rstrip() for line in _header(quantities)]
    for row in rows:
        name = row.name
        if len(name) > width:
            lines.append(name)
            name = ""
        start = f"{name:{width}} {row.dtype:7}"
        if row.message:
            lines += textwrap.wrap(f"{start} {row.status}: {row.message}", _WIDTH, subsequent_indent="    ")
            continue
        cells = (_cell(quantity, row.differences.get(quantity)) for quantity in quantities)
        mark = "" if row.status == "ok" else f" {row.status}"
        lines.append(start + "".join(f"{cell:>10}" for cell in cells) + mark)
    return lines


def _cell(quantity: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.2f}" if quantity.endswith("slope") else f"{value:.1e}"


def _header(quantities: tuple[str, ...]) -> list[str]:
    """The names of the quantities, those of two words in two lines."""
    words = [quantity.rsplit(" ", 1) for quantity in quantities]
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
    rows = (engines_rows if with_julia else numpy_rows)(only)
    print(table(rows))
    counts = {status: sum(row.status == status for row in rows) for status in ("ok", "wrong", "error", "skipped")}
    print(", ".join(f"{count} {status}" for status, count in counts.items()))
    if json_file is not None:
        with replaced(json_file) as temporary:
            Path(temporary).write_text(json.dumps(report(rows, with_julia), indent=1) + "\n")
    return int(counts["wrong"] + counts["error"] > 0 or counts["ok"] == 0)


def report(rows: list[Row], with_julia: bool) -> dict:
    """What `--json` writes; a difference that is not finite is `null`."""
    against = "julia" if with_julia else "golden vectors, mathematics"
    listed = [asdict(row) for row in rows]
    for row in listed:
        row["differences"] = {q: d if np.isfinite(d) else None for q, d in row["differences"].items()}
    bounds = BOUNDS if with_julia else BOUNDS | {"mathematics": mathematics.BOUNDS}
    return {"engine": "numpy", "against": against, "bounds": bounds, "rows": listed}
