"""The names and shapes of the parameters that a constructor's arguments imply, without making them.

So a file whose constructor asks for parameters that the file does not have is refused before any memory is taken for
them. All is a generator: of a network of a billion steps as much is worked out as the reader asks for. The order is not
that of `get_params`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple


class Declared(NamedTuple):
    """A parameter.

    Attributes:
        name: as in `named_params`.
        shape: Julia's.
        lazy: whether it is an ActNorm's, which has no value until the first `forward`.
    """

    name: str
    shape: tuple[int, ...]
    lazy: bool = False


def declared(kind: type, arguments: dict[str, Any]) -> Iterator[Declared] | None:
    """The parameters of a network.

    Args:
        kind: its class.
        arguments: all of its constructor's; a network among them as a pair of its class and its arguments.

    Returns:
        The parameters, or `None` where the constructor is a user's own, of which nothing is known.

    Raises:
        TypeError, ValueError: at once or later, for arguments that no constructor takes.
    """
    constructor = next(base for base in kind.__mro__ if "__init__" in vars(base))
    return _SHAPES[constructor.__name__](**arguments) if constructor.__name__ in _SHAPES else None


def _within(name: str, parameters: Iterator[Declared]) -> Iterator[Declared]:
    """The parameters of a part called `name`."""
    return (p._replace(name=f"{name}.{p.name}") for p in parameters)


def _kernel(size: int, ndims: int) -> tuple[int, ...]:
    if ndims not in (1, 2, 3):
        raise ValueError(f"ndims must be 1, 2 or 3, got {ndims!r}")
    return (size,) * ndims


# Layers


def _act_norm(k: int, **_: Any) -> Iterator[Declared]:
    yield Declared("s", (k,), True)
    yield Declared("b", (k,), True)


def _affine(nx: int, ny: int, nc: int, **_: Any) -> Iterator[Declared]:
    yield Declared("s", (nx, ny, nc))
    yield Declared("b", (nx, ny, nc))


def _conv1x1(k: int, **_: Any) -> Iterator[Declared]:
    for name in ("v1", "v2", "v3"):
        yield Declared(name, (k,))


def _residual(
    n_in: int, n_hidden: int, k1: int, k2: int, ndims: int = 2, n_out: int | None = None, **_: Any
) -> Iterator[Declared]:
    yield Declared("W1", (*_kernel(k1, ndims), n_in, n_hidden))
    yield Declared("W2", (*_kernel(k2, ndims), n_hidden, n_hidden))
    yield Declared("W3", (*_kernel(k1, ndims), 2 * n_in if n_out is None else n_out, n_hidden))
    yield Declared("b1", (n_hidden,))
    yield Declared("b2", (n_hidden,))


def _dense(nx: int, n_in: int, n_hidden: int, n_out: int) -> Iterator[Declared]:
    sizes = (nx * n_in, n_hidden, n_hidden, nx * n_out)
    for i in range(3):
        yield Declared(f"params[{2 * i + 1}]", (sizes[i + 1], sizes[i]))
        yield Declared(f"params[{2 * i + 2}]", (sizes[i + 1],))


def _conditional_residual(
    nx1: int, nx2: int, nx_in: int, ny1: int, ny2: int, ny_in: int, n_hidden: int, **options: Any
) -> Iterator[Declared]:
    size = nx1 * nx2 * nx_in
    yield Declared("W0", (size, ny1 * ny2 * ny_in))
    yield Declared("b0", (size,))
    yield from _residual(2 * nx_in, n_hidden, n_out=nx_in, **options)


def _coupling_basic(n_in: int, n_hidden: int, **options: Any) -> Iterator[Declared]:
    return _within("RB", _residual(n_in, n_hidden, **options))


def _coupling_glow(
    n_in: int, n_hidden: int, n_cond: int = 0, dense: bool = False, nx: int | None = None, **options: Any
) -> Iterator[Declared]:
    yield from _within("C", _conv1x1(n_in))
    changed = round(n_in / 2)
    if dense:
        block = _dense(nx, n_in - changed, n_in * n_hidden, 2 * changed)
    else:
        block = _residual(n_in - changed + n_cond, n_hidden, n_out=2 * changed, **options)
    yield from _within("RB", block)


def _coupling_hint(n_in: int, n_hidden: int, permute: str = "none", **options: Any) -> Iterator[Declared]:
    level, channels = 1, n_in
    while level == 1 or channels > 2:
        channels //= 2
        yield from _within(f"CL[{level}]", _coupling_basic(channels, n_hidden, **options))
        level += 1
    if permute != "none":
        yield from _within("C", _conv1x1(n_in // 2 if permute == "lower" else n_in))


def _conditional_hint(n_in: int, n_hidden: int, permute: bool = True, **options: Any) -> Iterator[Declared]:
    for name in ("CL_X", "CL_Y"):
        yield from _within(name, _coupling_hint(n_in, n_hidden, **options))
    yield from _within("CL_YX", _coupling_basic(n_in, n_hidden, **options))
    for name in ("C_X", "C_Y") if permute else ():
        yield from _within(name, _conv1x1(n_in))


def _coupling_irim(n_in: int, n_hidden: int, **options: Any) -> Iterator[Declared]:
    yield from _within("C", _conv1x1(n_in))
    yield from _within("RB", _residual(n_in // 2, n_hidden, **options))


def _hyperbolic(n_in: int, kernel: int, action: int, n_hidden: int | None, ndims: int, **_: Any) -> Iterator[Declared]:
    n_hidden = n_in if n_hidden is None else n_hidden
    yield Declared("W", (*_kernel(kernel, ndims), _channels_after(n_in, action, ndims), n_hidden))
    yield Declared("b", (n_hidden,))


def _channels_after(n_in: int, action: int, ndims: int) -> int:
    if action not in (-1, 0, 1) or ndims not in (1, 2, 3):
        raise ValueError(f"action must be -1, 0 or 1, and ndims 1, 2 or 3, got {action!r} and {ndims!r}")
    return {-1: n_in << ndims, 0: n_in, 1: n_in >> ndims}[action]


# Networks


def _scales(n_in: int, L: int, squeezes: bool, splits: bool, ndims: int) -> Iterator[tuple[int, int]]:
    """The number of each scale, and its channels."""
    _kernel(1, ndims)
    for i in range(1, L + 1):
        if squeezes:
            n_in <<= ndims
        yield i, n_in
        if splits and i < L:
            n_in //= 2


def _network_glow(
    n_in: int, L: int, K: int, split_scales: bool, ndims: int, dense: bool, nx: int | None, **options: Any
) -> Iterator[Declared]:
    splits = split_scales or n_in == 1
    for i, channels in _scales(n_in, L, splits, splits, ndims):
        if dense and splits:
            nx //= 2
        for j in range(1, K + 1):
            yield from _within(f"AN[{i},{j}]", _act_norm(channels))
            coupling = _coupling_glow(channels, dense=dense, nx=nx, ndims=ndims, **options)
            yield from _within(f"CL[{i},{j}]", coupling)


def _network_conditional_glow(
    n_in: int, n_cond: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any
) -> Iterator[Declared]:
    yield from _within("AN_C", _act_norm(n_cond))
    for i, channels in _scales(n_in, L, split_scales, split_scales, ndims):
        if split_scales:
            n_cond <<= ndims
        for j in range(1, K + 1):
            yield from _within(f"AN[{i},{j}]", _act_norm(channels))
            coupling = _coupling_glow(channels, n_cond=n_cond, ndims=ndims, **options)
            yield from _within(f"CL[{i},{j}]", coupling)


def _hint_step(index: str, n_in: int, **options: Any) -> Iterator[Declared]:
    yield from _within(f"AN_X[{index}]", _act_norm(n_in))
    yield from _within(f"AN_Y[{index}]", _act_norm(n_in))
    yield from _within(f"CL[{index}]", _conditional_hint(n_in, **options))


def _network_conditional_hint(n_in: int, depth: int, **options: Any) -> Iterator[Declared]:
    for i in range(1, depth + 1):
        yield from _hint_step(str(i), n_in, **options)


def _network_multiscale_conditional_hint(
    n_in: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any
) -> Iterator[Declared]:
    for i, channels in _scales(n_in, L, True, split_scales, ndims):
        for j in range(1, K + 1):
            yield from _hint_step(f"{i},{j}", channels, ndims=ndims, **options)


def _network_multiscale_hint(
    n_in: int, L: int, K: int, split_scales: bool, ndims: int, **options: Any
) -> Iterator[Declared]:
    for i, channels in _scales(n_in, L, True, split_scales, ndims):
        for j in range(1, K + 1):
            yield from _within(f"AN[{i},{j}]", _act_norm(channels))
            coupling = _coupling_hint(channels, permute="full", ndims=ndims, **options)
            yield from _within(f"CL[{i},{j}]", coupling)


def _network_hyperbolic(n_in: int, architecture: Any, k: int, ndims: int, **_: Any) -> Iterator[Declared]:
    for i, (action, n_hidden) in enumerate(architecture, 1):
        yield from _within(f"HL[{i}]", _hyperbolic(n_in, k, action, n_hidden, ndims))
        n_in = _channels_after(n_in, action, ndims)


# Networks of networks


def _of(part: Any) -> Iterator[Declared]:
    """The parameters of a network among the arguments."""
    if not isinstance(part, tuple) or len(part) != 2 or not isinstance(part[0], type):
        raise TypeError(f"expected a network or layer, got {part!r}")
    parameters = declared(*part)
    if parameters is None:
        raise TypeError(
            f"a network of networks is loaded only where these are the package's own, got {part[0].__name__}"
        )
    return parameters


def _sequential(layers: Any) -> Iterator[Declared]:
    for i, layer in enumerate(layers, 1):
        yield from _within(f"layers[{i}]", _of(layer))


def _summarized(cond_net: Any, sum_net: Any) -> Iterator[Declared]:
    yield from _within("cond_net", _of(cond_net))
    if isinstance(sum_net, list):
        for i, block in enumerate(sum_net, 1):
            yield from _within(f"sum_net[{i}]", _of(block))
    else:
        yield from _within("sum_net", _of(sum_net))


def _unwritable(**_: Any) -> Iterator[Declared]:
    raise ValueError("it holds a function or a model of Flux, which no file does")


_SHAPES: dict[str, Callable[..., Iterator[Declared]]] = {
    "ActNorm": _act_norm,
    "AffineLayer": _affine,
    "ConditionalLayerGlow": _coupling_glow,
    "ConditionalLayerHINT": _conditional_hint,
    "ConditionalResidualBlock": _conditional_residual,
    "Conv1x1": _conv1x1,
    "CouplingLayerBasic": _coupling_basic,
    "CouplingLayerGlow": _coupling_glow,
    "CouplingLayerHINT": _coupling_hint,
    "CouplingLayerIRIM": _coupling_irim,
    "FluxBlock": _unwritable,
    "HyperbolicLayer": _hyperbolic,
    "NetworkConditionalGlow": _network_conditional_glow,
    "NetworkConditionalHINT": _network_conditional_hint,
    "NetworkGlow": _network_glow,
    "NetworkHyperbolic": _network_hyperbolic,
    "NetworkLoop": _unwritable,
    "NetworkMultiScaleConditionalHINT": _network_multiscale_conditional_hint,
    "NetworkMultiScaleHINT": _network_multiscale_hint,
    "ResidualBlock": _residual,
    "Sequential": _sequential,
    "SummarizedNet": _summarized,
    "_Reversed": lambda network: _of(network),
}
