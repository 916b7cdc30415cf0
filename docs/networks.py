"""Write networks.md, the table of all layers and networks, from the classes' own declarations and docstrings.

python docs/networks.py
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np

import pyinvnets as inv
from pyinvnets import networks
from pyinvnets.networks import compose, flux
from pyinvnets.networks.reverse import _Reversed
from pyinvnets.validation.cases import CASES, Run, as_tuple

FILE = Path(__file__).with_suffix(".md")
UPSTREAM = "https://github.com/slimgroup/InvertibleNetworks.jl/blob/daa2ea9aaf4b9af1329e5c2bee32ec41fcf6e742/"
OPENING = """\
# Layers and networks

Written by `python docs/networks.py` from the classes' declarations and docstrings; change those, not this file.

All take `engine=` and `seed=` as well, but for those that are made of networks, and are in `pyinvnets` itself. Arrays
have Julia's shape and memory order. «A small forward» is what `forward` takes and gives in one small case of
`pyinvnets/validation/cases.py`; `lgdet` is the log-determinant, a float. `inverse` goes the other way, and `backward`
takes gradients and results of `forward`; `help(pyinvnets.NetworkGlow.backward)` says more. The name links to upstream's
source, or to this package's where upstream has none. `print(G.summary(X.shape))` shows a network layer by layer: output
shapes, parameters, memory.
"""
HEADER = "| name | constructor | arrays and parameters | a small forward | engines | source |\n" + "| --- " * 6 + "|"


def kinds() -> dict[str, list[type]]:
    """The layers and networks under the titles of their sections."""
    found = {"Layers": [], "Networks": [], "Made of networks": [], "Of Flux": []}
    for kind in vars(networks).values():
        if isinstance(kind, type):
            found[title(kind)].append(kind)
    return found


def title(kind: type) -> str:
    made_of = {compose.__name__: "Made of networks", flux.__name__: "Of Flux"}
    return made_of.get(kind.__module__, "Networks" if kind.__name__.startswith("Network") else "Layers")


def one_line(text: str) -> str:
    return " ".join(text.split())


def section(doc: str, title: str) -> str:
    """What stands after `title:` in a docstring, to the next section."""
    found = re.search(rf"^{title}: (.*?)(?=^[A-Z]\w*:|^$|\Z)", doc, re.MULTILINE | re.DOTALL)
    return one_line(found[1]) if found else ""


def numpy_only(doc: str) -> list[str]:
    """What the arguments' descriptions say is for the NumPy engine only."""
    found = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", doc, re.MULTILINE | re.DOTALL)
    entries = re.split(r"\n(?= {4}\S)", found[1]) if found else []
    clauses = []
    for entry in map(one_line, entries):
        name, _, text = entry.partition(": ")
        clauses += [f"`{name}`: {c}" for c in re.split(r"; |\. ", text.rstrip(".")) if "NumPy engine" in c]
    return clauses


def engines(doc: str) -> str:
    return "julia" if "Julia engine only" in doc else "; ".join(["both", *numpy_only(doc)])


def signature(callable_, name: str) -> str:
    """Without annotations, and without the engine's arguments."""
    parameters = [
        p.replace(annotation=p.empty)
        for p in inspect.signature(callable_).parameters.values()
        if p.name not in ("self", "engine", "seed")
    ]
    return f"`{name}{inspect.Signature(parameters)}`"


def small_forward(kind: str) -> str:
    """The shapes in the first case of this kind."""
    case = next((case for name, case in CASES.items() if name.split(", ")[0] == kind), None)
    if case is None:
        return "what its model takes and gives"
    run = Run(case, "numpy")
    results = as_tuple(run.network.forward(*run.inputs, *run.extra))
    given = [str(r.shape) if isinstance(r, np.ndarray) else "lgdet" for r in results]
    return f"{', '.join(str(a.shape) for a in (*run.inputs, *run.extra))} → {', '.join(given)}"


def row(name: str, upstream: str, *cells: str) -> str:
    source = f"{UPSTREAM}{upstream}" if upstream != "none" else "../pyinvnets/networks/spline.py"
    return f"| [{name}]({source}) | " + " | ".join(cells) + " |"


def kind_row(kind: type) -> str:
    doc = inspect.getdoc(kind)
    arrays = f"{section(doc, 'Arrays')} Parameters: {section(doc, 'Parameters')}"
    return row(
        kind.__name__,
        kind.upstream,
        signature(kind.__init__, kind.__name__),
        arrays,
        small_forward(kind.__name__),
        engines(doc),
        section(doc, "Source"),
    )


def reverse_row() -> str:
    doc = inspect.getdoc(inv.reverse)
    described = one_line(doc.split("\n\n")[0])
    shapes = small_forward("reverse(ActNorm)")
    upstream = _Reversed.upstream
    return row(
        "reverse", upstream, signature(inv.reverse, "reverse"), described, shapes, engines(doc), "upstream's own."
    )


def purposes(found: list[type]) -> str:
    return "\n".join(f"- `{kind.__name__}`: {one_line(inspect.getdoc(kind).split(chr(10) * 2)[0])}" for kind in found)


def text() -> str:
    parts = [OPENING]
    for heading, found in kinds().items():
        rows = [*map(kind_row, found), *([reverse_row()] if heading == "Made of networks" else [])]
        parts.append("\n".join([f"## {heading}\n", purposes(found), "", HEADER, *rows, ""]))
    return "\n".join(parts)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
