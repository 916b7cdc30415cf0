"""The rooms of the package: what Import Linter does not see. The contracts themselves are in pyproject.toml."""

from __future__ import annotations

import ast
import graphlib
from collections import defaultdict
from pathlib import Path

import pytest

from helpers.processes import ROOT

PACKAGE = ROOT / "pyinvnets"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 450
LONGER = {}  # file: reason
READ_FROM_OTHER_ROOMS = {}  # module: names, and why


def module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


class WithoutTypes(ast.NodeTransformer):
    """Leave out what is imported for types alone: it is not there when the code runs."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else node


TREES = {module(path): WithoutTypes().visit(ast.parse(path.read_text())) for path in FILES}
IS_FOLDER = {module(path): path.name == "__init__.py" for path in FILES}


def room(name: str) -> str:
    """The first folder below the package; each engine is a room of its own, such as `engines.numpy`."""
    parts = name.split(".")[1:]
    return ".".join(parts[:2] if parts[:1] == ["engines"] and len(parts) > 2 else parts[:1])


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__")


def imported(name: str, tree: ast.AST):
    """What a module imports from the package: pairs of a module and the name taken from it, if it is not a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            package = name.split(".")[: None if IS_FOLDER[name] else -1]
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join(base + (node.module.split(".") if node.module else []))
            for alias in node.names:
                as_module = f"{source}.{alias.name}"
                yield (as_module, None) if as_module in TREES else (source, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None


def defined(tree: ast.AST) -> set[str]:
    """The private names that a module gives a meaning: functions, classes, variables and attributes of its objects."""
    names = set()
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if is_private(name)}


def read_of_others(tree: ast.AST) -> set[str]:
    """The private names that a module reads of other objects than `self`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
        and not (isinstance(node.value, ast.Call) and getattr(node.value.func, "id", "") == "super")
    }


def test_no_private_name_crosses_rooms():
    of_room = defaultdict(set)
    for name, tree in TREES.items():
        of_room[room(name)] |= defined(tree)
    anywhere = set().union(*of_room.values())
    found = set()
    for name, tree in TREES.items():
        own = of_room[room(name)]
        found |= {(name, attribute) for attribute in read_of_others(tree) & anywhere - own}
        found |= {
            (name, taken)
            for source, taken in imported(name, tree)
            if taken and is_private(taken) and source in TREES and room(source) != room(name)
        }
    assert found <= {(name, taken) for name, names in READ_FROM_OTHER_ROOMS.items() for taken in names}


def test_no_circle():
    """Module by module, imports inside functions too; Import Linter looks at folders."""
    graph = {
        name: {source for source, _ in imported(name, tree) if source in TREES and source != name}
        for name, tree in TREES.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


def test_files_are_short():
    lines = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in FILES}
    assert {path for path, n in lines.items() if n > MAX_LINES} == set(LONGER)
