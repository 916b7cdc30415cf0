"""A network's declaration is its constructor: what it takes is recorded when it is called."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from ...arrays.scalars import as_python

ENGINE_ARGUMENTS = ("engine", "seed")
"""What every constructor takes besides what describes its network."""


@functools.cache
def constructor_of(cls: type) -> inspect.Signature:
    """The signature of a class's constructor, without annotations."""
    own = list(inspect.signature(cls.__init__).parameters.values())[1:]  # type: ignore[misc]
    return inspect.Signature([p.replace(annotation=inspect.Parameter.empty) for p in own])


def takes(kind: Callable[..., Any]) -> frozenset[str]:
    """The names of the arguments that a constructor takes."""
    signature = constructor_of(kind) if isinstance(kind, type) else inspect.signature(kind)
    return frozenset(signature.parameters)


def recording(init: Callable[..., None], cls: type) -> Callable[..., None]:
    """A constructor that keeps its arguments: `arguments` are those of the network's own class, `_declared` those of
    the kind that the engines know, which a user's subclass may call with others."""

    @functools.wraps(init)
    def recorded(self: Any, *args: Any, **kwargs: Any) -> None:
        constructor = constructor_of(cls)
        try:
            bound = constructor.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{cls.__name__}: {error}; expected {cls.__name__}{constructor}") from None
        bound.apply_defaults()
        bound.arguments = {name: as_python(value) for name, value in bound.arguments.items()}
        self._declared = {name: value for name, value in bound.arguments.items() if name not in ENGINE_ARGUMENTS}
        if type(self) is cls or not hasattr(self, "arguments"):
            self.arguments = self._declared
        init(self, *bound.args, **bound.kwargs)

    return recorded
