"""The names and shapes of the parameters that a constructor's arguments imply, without making them.

So a file whose constructor asks for parameters that the file does not have is refused before any memory is taken for
them. All is a generator: of a network of a billion steps as much is worked out as the reader asks for. The order is not
that of `get_params`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple


class ParameterShape(NamedTuple):
    """A parameter that a network will have.

    Attributes:
        name: as in `named_params`.
        shape: Julia's.
        lazy: whether it is an ActNorm's, which has no value until the first `forward`.
    """

    name: str
    shape: tuple[int, ...]
    lazy: bool = False


def parameter_shapes(kind: type, arguments: dict[str, Any]) -> Iterator[ParameterShape] | None:
    """The parameters of a network.

    Args:
        kind: its class.
        arguments: all of its constructor's; a network among them as a pair of its class and its arguments.

    Returns:
        The parameters, or `None` where the constructor is a user's own, of which nothing is known.

    Raises:
        TypeError, ValueError: at once or later, for arguments that no constructor takes.
    """
    constructor: Any = next(base for base in kind.__mro__ if "__init__" in vars(base))
    return constructor.shapes(**arguments) if "shapes" in vars(constructor) else None


def within(name: str, parameters: Iterator[ParameterShape]) -> Iterator[ParameterShape]:
    """The parameters of a part called `name`."""
    return (p._replace(name=f"{name}.{p.name}") for p in parameters)


def kernel_shape(size: int, ndims: int) -> tuple[int, ...]:
    if ndims not in (1, 2, 3):
        raise ValueError(f"ndims must be 1, 2 or 3, got {ndims!r}")
    return (size,) * ndims


def scales(n_in: int, L: int, squeezes: bool, splits: bool, ndims: int) -> Iterator[tuple[int, int]]:
    """The number of each scale, and its channels."""
    kernel_shape(1, ndims)
    for i in range(1, L + 1):
        if squeezes:
            n_in <<= ndims
        yield i, n_in
        if splits and i < L:
            n_in //= 2


def of_part(part: Any) -> Iterator[ParameterShape]:
    """The parameters of a network among the arguments."""
    if not isinstance(part, tuple) or len(part) != 2 or not isinstance(part[0], type):
        raise TypeError(f"expected a network or layer, got {part!r}")
    parameters = parameter_shapes(*part)
    if parameters is None:
        raise TypeError(
            f"a network of networks is loaded only where these are the package's own, got {part[0].__name__}"
        )
    return parameters
