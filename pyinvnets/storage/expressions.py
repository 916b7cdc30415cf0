"""Networks from text such as `NetworkGlow(2, 16, 1, 10)`, read as a literal is and never run as Python."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..functions import VALUES
from ..networks.base.declaration import takes
from ..networks.reverse import reverse
from .weights import kinds


@dataclass(frozen=True)
class Expression:
    """A constructor's name and arguments; these may hold expressions too.

    Attributes:
        bare: whether it is a name alone, without arguments.
    """

    name: str
    positional: tuple = ()
    keywords: tuple[tuple[str, Any], ...] = ()
    bare: bool = False

    @property
    def kind(self) -> Callable[..., Any]:
        return _constructors()[self.name]

    def make(self, engine: str | None = None, seed: int | None = None) -> Any:
        """What it describes.

        Args:
            engine: of all networks in it, instead of what they say themselves; `None` leaves it to them.
            seed: of the first network in it that does not say its own; the next one has `seed + 1`, and so on.

        Raises:
            TypeError, ValueError: unfit arguments.
        """
        return self._made(engine, itertools.repeat(None) if seed is None else itertools.count(seed))

    def _made(self, engine: str | None, seeds: Iterator[int | None]) -> Any:
        positional = [_value(item, engine, seeds) for item in self.positional]
        keywords = {name: _value(item, engine, seeds) for name, item in self.keywords}
        wanted = takes(self.kind)
        if "engine" in wanted and engine is not None:
            keywords["engine"] = engine
        if "seed" in wanted and "seed" not in keywords:
            keywords["seed"] = next(seeds)
        return self.kind(*positional, **keywords)


def _value(item: Any, engine: str | None, seeds: Iterator[int | None]) -> Any:
    if isinstance(item, Expression):
        return item._made(engine, seeds)
    if isinstance(item, (list, tuple)):
        return type(item)(_value(inner, engine, seeds) for inner in item)
    return item


def parse(text: str) -> Expression:
    """The network that `text` describes: a constructor as `repr` prints it, or its name alone.

    Raises:
        ValueError: it is something else.

    >>> import pyinvnets as inv
    >>> parse("NetworkGlow(2, 16, 1, K=10, activation=SigmoidLayer(0.5, 1))").make("numpy")
    NetworkGlow(n_in=2, n_hidden=16, L=1, K=10, activation=SigmoidLayer(low=0.5, high=1), engine="numpy")
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{text!r} is no constructor such as NetworkGlow(2, 16, 1, 10): {error.msg}") from None
    if isinstance(node, ast.Name):
        return Expression(_known(node.id, kinds()), bare=True)
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise ValueError(f"{text!r} is no constructor such as NetworkGlow(2, 16, 1, 10)")
    _known(node.func.id, {**kinds(), "reverse": reverse})
    return _read(node)


def _read(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        positional = tuple(map(_read, node.args))
        if any(keyword.arg is None for keyword in node.keywords):
            raise ValueError(f"{ast.unparse(node)}: write out the arguments instead of **")
        keywords = tuple((str(keyword.arg), _read(keyword.value)) for keyword in node.keywords)
        return Expression(_known(node.func.id, _constructors()), positional, keywords)
    if isinstance(node, (ast.List, ast.Tuple)):
        items = map(_read, node.elts)
        return list(items) if isinstance(node, ast.List) else tuple(items)
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(
            f"{ast.unparse(node)!r} is neither a number, a text, a list nor a constructor, and nothing else is read"
        ) from None


def _constructors() -> dict[str, Callable[..., Any]]:
    return {**kinds(), **VALUES, "reverse": reverse}


def _known(name: str, among: Mapping[str, Any]) -> str:
    if name not in among:
        networks = ", ".join(kind for kind in kinds() if kind.startswith("Network"))
        raise ValueError(f"{name} is no network or layer; the networks are {networks}")
    return name
