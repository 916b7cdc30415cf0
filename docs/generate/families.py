"""The sections of layers and networks, made from the classes' declarations, their docstrings and their small cases."""

from __future__ import annotations

import inspect
import re

import numpy as np
from diagrams import DIAGRAMS
from drawing import Diagram, chain

import pyinvnets as inv
from pyinvnets import networks
from pyinvnets.networks.reverse import _Reversed
from pyinvnets.validation.cases import CASES, Run, as_tuple

UPSTREAM = "https://github.com/slimgroup/InvertibleNetworks.jl/blob/daa2ea9aaf4b9af1329e5c2bee32ec41fcf6e742/"


def kinds() -> dict[str, type]:
    """The layers and networks by name, `reverse` included."""
    found = {name: kind for name, kind in vars(networks).items() if isinstance(kind, type) and kind.__module__}
    return found | {"reverse": inv.reverse}


def pages() -> dict[str, list[str]]:
    """The kinds of each family, by the name of its page, which is its module's."""
    found: dict[str, list[str]] = {}
    for name, kind in kinds().items():
        found.setdefault(kind.__module__.rpartition(".")[2], []).append(name)
    return found


def one_line(text: str) -> str:
    return " ".join(text.split())


def purpose(name: str) -> str:
    return one_line(inspect.getdoc(kinds()[name]).split("\n\n")[0])


def of_docstring(doc: str, title: str) -> str:
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


def engines(name: str) -> str:
    doc = inspect.getdoc(kinds()[name])
    return "julia" if "Julia engine only" in doc else "; ".join(["both", *numpy_only(doc)])


def small_forward(name: str) -> str:
    """The shapes in the first case of this kind."""
    wanted = "reverse(ActNorm)" if name == "reverse" else name
    case = next((case for title, case in CASES.items() if title.split(", ")[0] == wanted), None)
    if case is None:
        return "what its model takes and gives"
    run = Run(case, "numpy")
    results = as_tuple(run.network.forward(*run.inputs, *run.extra))
    given = [f"`{r.shape}`" if isinstance(r, np.ndarray) else "lgdet" for r in results]
    return f"{', '.join(f'`{a.shape}`' for a in (*run.inputs, *run.extra))} → {', '.join(given)}"


def upstream(name: str) -> str:
    """A link to upstream's source, or where it has none, that."""
    kind = kinds()[name]
    path = _Reversed.upstream if name == "reverse" else getattr(kind, "upstream", "none")
    return "this package's own" if path == "none" else f"[{path}]({UPSTREAM}{path})"


def diagram(name: str) -> Diagram:
    """The one that is declared, or of a kind that has none its name between its arrays."""
    return DIAGRAMS.get(name) or chain("X", name, "Y")


def section(name: str) -> str:
    """A kind's section: its diagram, what it takes, and its reference."""
    facts = [f"- A small `forward`: {small_forward(name)}", f"- Engines: {engines(name)}"]
    facts.append(f"- InvertibleNetworks.jl: {upstream(name)}")
    return "\n".join(
        [
            f"## {name}",
            "",
            f'![What {name} does with its arrays](diagrams/{name}.svg){{ .diagram loading="lazy" }}',
            "",
            *facts,
            "",
            f"::: pyinvnets.{name}",
            "    options:",
            "      show_root_heading: false",
            "      show_root_toc_entry: false",
            "",
        ]
    )


def overview() -> str:
    """A table of all kinds, and what each is for."""
    lines = ["| all of them | |", "| --- | --- |"]
    for page, names in pages().items():
        lines += [f"| [{name}]({page}.md#{name.lower()}) | {purpose(name)} |" for name in names]
    return "\n".join(lines)
