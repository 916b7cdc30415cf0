"""What `G.summary(input_shape)` gives: the layers, the shapes of their states, their parameters and their memory.

The constructor's arguments tell all of it, with the parameters' names and shapes: no engine computes anything.
"""

from __future__ import annotations

import functools
import inspect
import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...arrays.latents import resized
from ...arrays.spec import check_shape
from ..compose import Sequential, SummarizedNet
from ..flux import FluxBlock
from ..glow import NetworkConditionalGlow, NetworkGlow
from ..hint import NetworkConditionalHINT, NetworkMultiScaleConditionalHINT, NetworkMultiScaleHINT
from ..hyperbolic import HyperbolicLayer, NetworkHyperbolic
from ..irim import NetworkLoop
from ..residual import ConditionalResidualBlock, ResidualBlock
from ..reverse import _Reversed
from .arguments import hyperbolic_channels
from .layer import Invertible
from .pair import TwoLanes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Row:
    """One step from data to latent.

    Attributes:
        layer: its class; `"split"` where half of the channels leave for the latent, `"join"` where all that left
            becomes one latent, `"input"` for what `forward` takes.
        name: what the names of its parameters start with, or the name of the input.
        shape: of what it gives, with samples last; `None` for a `FluxBlock`, whose model alone knows.
        arrays: how many of this shape it gives.
        parameters: how many numbers it trains.
        memory: of these, in bytes.
    """

    layer: str
    name: str
    shape: Shape | None
    arrays: int = 1
    parameters: int = 0
    memory: int = 0


@dataclass(frozen=True, repr=False)
class Summary:
    """A network layer by layer; printed, it is a table.

    Attributes:
        network: its `repr`, and its dtype.
        rows: the inputs, then all steps in the order of `forward`. The last one gives the latent: in a `NetworkLoop`
            `eta` and `s` together, and in a reversed HINT network one lane after the other.
        parameters: how many numbers all layers train.
        memory: of the parameters, in bytes; the gradients take as much again.
        states: bytes of the states in one `forward` and `backward`: the arrays before and after one layer, and their
            gradients. Depth does not change it, since `backward` recomputes what came before. What a layer needs
            within itself, such as the hidden channels of its block, comes on top while it runs. In a `SummarizedNet`
            it is that of `cond_net`: the summary cannot be inverted, so its blocks keep their inputs besides. `None`
            for a `FluxBlock`.
    """

    network: str
    rows: tuple[Row, ...]
    parameters: int
    memory: int
    states: int | None

    def __repr__(self) -> str:
        lines = [("layer", "name", "output shape", "parameters", "memory"), *map(_cells, self.rows)]
        total = ("total", "", "", f"{self.parameters:,}", _bytes(self.memory))
        text = [self.network, "", *_table([*lines, total])]
        text.insert(-1, "")
        text += ["", f"parameters with gradients: {_bytes(2 * self.memory)}"]
        if self.states is not None:
            text.append(f"states in forward and backward, at any depth: {_bytes(self.states)}")
        return "\n".join(text)


def summarise(G: Invertible, input_shape: Shape) -> Summary:
    """See `Invertible.summary`."""
    steps = _checked_steps(G, f"{G._title}.summary", input_shape)
    inputs = _inputs(G, tuple(input_shape))
    itemsize = G.dtype.itemsize
    counts = {p.name: math.prod(p.shape) for p in G._parameters}

    def counted(step: _Step) -> Row:
        own = sum(count for name, count in counts.items() if step.holds(name))
        return Row(step.layer, step.name or "", step.shape, step.arrays, own, own * itemsize)

    rows = [Row("input", name, shape) for name, shape in inputs.items()] + [counted(step) for step in steps]
    total = sum(counts.values())
    elements = _state_elements(G, inputs, steps)
    states = None if elements is None else 2 * elements * itemsize
    return Summary(f"{G!r}, {G.dtype}", tuple(rows), total, total * itemsize, states)


# Text


def _cells(row: Row) -> tuple[str, ...]:
    shape = "as its model gives" if row.shape is None else f"{row.arrays} x " * (row.arrays > 1) + str(row.shape)
    numbers = (f"{row.parameters:,}", _bytes(row.memory)) if row.parameters else ("", "")
    return (row.layer, row.name, shape, *numbers)


def _table(lines: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns side by side, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for cells in lines:
        left = [cell.ljust(width) for cell, width in zip(cells[:3], widths[:3], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(cells[3:], widths[3:], strict=True)]
        yield "  ".join([*left, *right]).rstrip()


def _bytes(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    units = ("KiB", "MiB", "GiB", "TiB")
    power = min(int(math.log2(size)) // 10, len(units))
    return f"{size / 1024**power:.1f} {units[power - 1]}"


# Inputs and states


def _checked_steps(G: Invertible, title: str, shape: Any) -> list[_Step]:
    name = next(iter(inspect.signature(G.forward).parameters))
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, numbers.Integral) for n in shape):
        raise TypeError(
            f"{title}: input_shape must be the shape of forward's {name}, such as (64, 64, 3, 8), samples included, "
            f"got {shape!r}"
        )
    shape = tuple(map(int, shape))
    check_shape(name, shape, G._data, title)
    if G._data.vector:
        G._check_vector(title, name, np.broadcast_to(0.0, shape), G._data)
    return _steps(G, shape)


def _inputs(G: Invertible, shape: Shape) -> dict[str, Shape | None]:
    """The shapes of what `forward` takes, from that of the first."""
    names = list(inspect.signature(G.forward).parameters)
    if isinstance(G, TwoLanes):
        return dict.fromkeys(names, shape)
    other = getattr(G, "_condition", None)
    if isinstance(G, (NetworkLoop, ConditionalResidualBlock)):
        other = G._latent
    if other is None:
        return {names[0]: shape}
    known = other.channels is not None
    return {
        names[0]: shape,
        names[1]: (*(other.spatial or shape[:-2]), other.channels, shape[-1]) if known else None,
    }


def _state_elements(G: Invertible, inputs: dict[str, Shape | None], steps: list[_Step]) -> int | None:
    """How many numbers are in the arrays before and after a layer."""
    if isinstance(G, FluxBlock):
        return None
    if isinstance(G, SummarizedNet):
        inputs = _inputs(G._cond_net, next(iter(inputs.values())))
    taken = sum(map(math.prod, inputs.values()))
    given = math.prod(steps[-1].shape) if isinstance(G, ResidualBlock) else taken
    return taken + given


# Steps of each kind of network


@dataclass(frozen=True)
class _Step:
    """A row before its parameters are counted; those of a step whose name is `None` are none, of `""` all."""

    layer: str
    name: str | None
    shape: Shape | None
    arrays: int = 1

    def holds(self, parameter: str) -> bool:
        return self.name is not None and (not self.name or parameter.startswith(f"{self.name}."))

    def within(self, part: str) -> _Step:
        return self if self.name is None else replace(self, name=f"{part}.{self.name}" if self.name else part)


def _resized(shape: Shape, action: int) -> Shape:
    """The shape after a squeeze (-1) or its inverse (1)."""
    channels = hyperbolic_channels(shape[-2], action, len(shape) - 2)
    return (*resized(shape[:-2], shape[-2], channels), channels, shape[-1])


@functools.singledispatch
def _steps(G: Invertible, shape: Shape) -> list[_Step]:
    """The steps of `forward` for an input of this shape; here of a layer, which keeps it."""
    return [_Step(type(G).__name__, "", shape, G._lanes)]


@_steps.register
def _(G: ResidualBlock, shape: Shape) -> list[_Step]:
    return [_Step("ResidualBlock", "", (*shape[:-2], G._latent.channels, shape[-1]))]


@_steps.register
def _(G: FluxBlock, shape: Shape) -> list[_Step]:
    return [_Step("FluxBlock", "", None)]


@_steps.register
def _(G: HyperbolicLayer, shape: Shape) -> list[_Step]:
    return [_Step("HyperbolicLayer", "", _resized(shape, G.arguments["action"]), 2)]


@_steps.register
def _(G: NetworkHyperbolic, shape: Shape) -> list[_Step]:
    steps = []
    for i, (action, _) in enumerate(G.arguments["architecture"], 1):
        shape = _resized(shape, action)
        steps.append(_Step("HyperbolicLayer", f"HL[{i}]", shape, 2))
    return steps


@_steps.register
def _(G: NetworkConditionalHINT, shape: Shape) -> list[_Step]:
    return [
        step
        for i in range(1, G.arguments["depth"] + 1)
        for step in (
            _Step("ActNorm", f"AN_X[{i}]", shape),
            _Step("ActNorm", f"AN_Y[{i}]", shape),
            _Step("ConditionalLayerHINT", f"CL[{i}]", shape, 2),
        )
    ]


@_steps.register
def _(G: NetworkLoop, shape: Shape) -> list[_Step]:
    layer = {"additive": "CouplingLayerIRIM", "HINT": "CouplingLayerHINT"}[G.arguments["type"]]
    both = (*shape[:-2], G.arguments["n_in"], shape[-1])
    return [
        step
        for i in range(1, G.arguments["maxiter"] + 1)
        for step in (_Step("ActNorm", f"AN[{i}]", shape), _Step(layer, f"L[{i}]", both))
    ]


@_steps.register
def _(G: NetworkGlow, shape: Shape) -> list[_Step]:
    squeezer = type(G.arguments["squeezer"]).__name__ if G._latent.vector else None
    return _scales(G, shape, squeezer, {"AN": "ActNorm", "CL": "CouplingLayerGlow"})


@_steps.register
def _(G: NetworkConditionalGlow, shape: Shape) -> list[_Step]:
    squeezer = type(G.arguments["squeezer"]).__name__ if G._scales else None
    steps = _scales(G, shape, squeezer, {"AN": "ActNorm", "CL": "ConditionalLayerGlow"})
    joined = [_Step("join", None, shape)] if G._scales else []
    return [_Step("ActNorm", "AN_C", _inputs(G, shape)["C"]), *steps, *joined]


@_steps.register
def _(G: NetworkMultiScaleHINT, shape: Shape) -> list[_Step]:
    return _scales(G, shape, "WaveletLayer", {"AN": "ActNorm", "CL": "CouplingLayerHINT"})


@_steps.register
def _(G: NetworkMultiScaleConditionalHINT, shape: Shape) -> list[_Step]:
    fields = {"AN_X": "ActNorm", "AN_Y": "ActNorm", "CL": "ConditionalLayerHINT"}
    return _scales(G, shape, type(G.arguments["squeezer"]).__name__, fields)


def _scales(G: Invertible, shape: Shape, squeezer: str | None, fields: dict[str, str]) -> list[_Step]:
    """`L` scales of `K` steps, each of the layers in `fields`."""
    whole, lanes, steps = shape, G._lanes, []
    for i in range(1, G.arguments["L"] + 1):
        if squeezer:
            shape = _resized(shape, -1)
            steps.append(_Step(squeezer, None, shape, lanes))
        for j in range(1, G.arguments["K"] + 1):
            steps += [
                _Step(layer, f"{field}[{i},{j}]", shape, 1 if layer == "ActNorm" else lanes)
                for field, layer in fields.items()
            ]
        if i <= G._splits:
            shape = (*shape[:-2], shape[-2] // 2, shape[-1])
            steps.append(_Step("split", None, shape, lanes))
    if G._latent.vector:
        steps.append(_Step("join", None, (math.prod(whole),), lanes))
    return steps


@_steps.register
def _(G: _Reversed, shape: Shape) -> list[_Step]:
    """The original's steps from the last to the first: each gives what it took there."""
    original, opposite = G.arguments["network"], {"split": "join", "join": "split"}
    channels = original._data.channels
    if G._data.vector:
        size = math.prod(G.spatial) * channels
        data = (*G.spatial, channels, shape[0] // size)
    else:
        data = (*resized(shape[:-2], shape[-2], channels), channels, shape[-1])
    steps = _steps(original, data)
    taken = [data, *(step.shape for step in steps[:-1])]
    return [
        replace(step, layer=opposite.get(step.layer, step.layer), shape=before)
        for step, before in zip(reversed(steps), reversed(taken), strict=True)
    ]


@_steps.register
def _(G: Sequential, shape: Shape) -> list[_Step]:
    steps = []
    for i, layer in enumerate(G._layers, 1):
        own = _checked_steps(layer, f"{layer._title}.summary", shape)
        steps += [step.within(f"layers[{i}]") for step in own]
        shape = own[-1].shape
    return steps


@_steps.register
def _(G: SummarizedNet, shape: Shape) -> list[_Step]:
    parts = dict(G._handle._parts)
    cond_net = parts.pop("cond_net")
    steps = []
    for name, block in parts.items():
        (own,) = _steps(block, (*shape[:-2], block._data.channels, shape[-1]))
        steps.append(own.within(name))
    return [*steps, *(step.within("cond_net") for step in _steps(cond_net, shape))]
