"""What `G.summary(input_shape)` gives: the layers, the shapes of their states, their parameters and their memory.

Each network says its own steps, beside its constructor; here they are counted and drawn. No engine computes anything.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from ...arrays.latents import resized
from ...arrays.spec import check_shape
from .arguments import channels_after
from .network import Network
from .parameters import get_params

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
            `eta` and `s` together, and in a reversed HINT network one array after the other.
        parameters: how many numbers all layers train.
        memory: of the parameters, in bytes; the gradients take as much again.
        states: bytes of the states in one `forward` and `backward`: the arrays before and after one layer, and their
            gradients. Depth does not change it, since `backward` recomputes what came before. What a layer needs
            within itself, such as the hidden channels of its block, comes on top while it runs. In a `SummarizedNet`
            it is that of `cond_net`: the summary cannot be inverted, so its blocks keep their inputs besides. `None`
            for a `FluxBlock`.
        anchors: bytes of what `forward` keeps for `backward`; see `G.anchors`.
        spacing: after how many steps it keeps a state.
        drift: by how much a state was off in the last `backward`; see `G.drift`.
    """

    network: str
    rows: tuple[Row, ...]
    parameters: int
    memory: int
    states: int | None
    anchors: int
    spacing: int
    drift: float | None

    def __repr__(self) -> str:
        lines = [("layer", "name", "output shape", "parameters", "memory"), *map(_cells, self.rows)]
        total = ("total", "", "", f"{self.parameters:,}", _bytes(self.memory))
        text = [self.network, "", *_table([*lines, total])]
        text.insert(-1, "")
        text += ["", f"parameters with gradients: {_bytes(2 * self.memory)}"]
        if self.states is not None:
            text.append(f"states in forward and backward, at any depth: {_bytes(self.states)}")
        if self.anchors:
            text.append(f"anchors, with a state after every {self.spacing} steps: {_bytes(self.anchors)}")
        if self.drift is not None:
            text.append(f"drift of states in the last backward: {self.drift:.1g} of their size")
        return "\n".join(text)


def summarise(G: Network, input_shape: Shape) -> Summary:
    """See `Layer.summary`."""
    steps = checked_steps(G, f"{G.title}.summary", input_shape)
    inputs = G.input_shapes(tuple(input_shape))
    itemsize = G.dtype.itemsize
    counts = {p.name: math.prod(p.shape) for p in get_params(G)}

    def counted(step: Step) -> Row:
        own = sum(count for name, count in counts.items() if step.holds(name))
        return Row(step.layer, step.name or "", step.shape, step.arrays, own, own * itemsize)

    rows = [Row("input", name, shape) for name, shape in inputs.items()] + [counted(step) for step in steps]
    total = sum(counts.values())
    elements = _state_elements(G, tuple(input_shape), steps)
    states = None if elements is None else 2 * elements * itemsize
    anchors = G.model.anchors
    kept = G.kept_elements(tuple(input_shape)) * itemsize
    network = f"{G!r}, {G.dtype}"
    return Summary(network, tuple(rows), total, total * itemsize, states, kept, anchors.spacing, anchors.drift)


# Text


def _cells(row: Row) -> tuple[str, ...]:
    shape = "as its model gives" if row.shape is None else f"{row.arrays} x " * (row.arrays > 1) + str(row.shape)
    numbers = (f"{row.parameters:,}", _bytes(row.memory)) if row.parameters else ("", "")
    return (row.layer, row.name, shape, *numbers)


def _table(lines: list[tuple[str, ...]]) -> Iterator[str]:
    """Align the columns: text to the left, numbers to the right."""
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


# Steps


@dataclass(frozen=True)
class Step:
    """A row before its parameters are counted. A step whose name is `None` has none; one whose name is `""` has all.
    With one that `ends` a flow step comes a state that may be kept."""

    layer: str
    name: str | None
    shape: Shape | None
    arrays: int = 1
    ends: bool = False

    def holds(self, parameter: str) -> bool:
        return self.name is not None and (not self.name or parameter.startswith(f"{self.name}."))

    def within(self, part: str) -> Step:
        return self if self.name is None else replace(self, name=f"{part}.{self.name}" if self.name else part)


def checked_steps(G: Network, title: str, shape: Any) -> list[Step]:
    """The steps of `forward` for a first input of this shape.

    Raises:
        TypeError, ValueError: as `Layer.summary`.
    """
    name, spec = next(iter(G.signature.inputs.items()))
    if not isinstance(shape, (tuple, list)) or not all(isinstance(n, numbers.Integral) for n in shape):
        raise TypeError(
            f"{title}: input_shape must be the shape of forward's {name}, such as (64, 64, 3, 8), samples included, "
            f"got {shape!r}"
        )
    shape = tuple(map(int, shape))
    check_shape(name, shape, spec, title)
    if spec.vector:
        G.check_vector(title, name, shape[0], spec)
    return G.steps(shape)


def _state_elements(G: Network, shape: Shape, steps: list[Step]) -> int | None:
    """How many numbers the arrays before and after one layer hold."""
    if steps[-1].shape is None:
        return None
    taken = sum(map(math.prod, G.state_shapes(shape)))
    block = not G.signature.invertible and len(G.signature.inputs) == 1
    return taken + (math.prod(steps[-1].shape) if block else taken)


def kept_elements(G: Network, shape: Shape) -> int:
    """How many numbers `forward` keeps for `backward`, for a first input of this shape."""
    if hasattr(G.model, "parts"):
        return G.model.kept_elements(shape)
    anchors = G.model.anchors
    states = [step for step in G.steps(shape) if step.ends]
    if anchors.value is None or not states:
        return 0
    kept = states[anchors.spacing - 1 :: anchors.spacing]
    shapes = [taken for taken in G.input_shapes(shape).values() if taken is not None] if anchors.automatic else []
    return sum(math.prod(step.shape or ()) * step.arrays for step in kept) + sum(map(math.prod, shapes))


def squeezed(shape: Shape, action: int) -> Shape:
    """The shape after a squeeze (-1) or its inverse (1)."""
    channels = channels_after(shape[-2], action, len(shape) - 2)
    return (*resized(shape[:-2], shape[-2], channels), channels, shape[-1])


def scale_steps(G: Network, shape: Shape, L: int, K: int, squeezer: str | None, fields: dict[str, str]) -> list[Step]:
    """The steps of `L` scales of `K` flow steps. `fields` maps the names of parameters to a flow step's layers."""
    whole, arrays, steps = shape, len(G.signature.inputs), []
    for i in range(1, L + 1):
        if squeezer:
            shape = squeezed(shape, -1)
            steps.append(Step(squeezer, None, shape, arrays))
        for j in range(1, K + 1):
            own = [
                Step(layer, f"{field}[{i},{j}]", shape, 1 if layer == "ActNorm" else arrays)
                for field, layer in fields.items()
            ]
            steps += [*own[:-1], replace(own[-1], ends=True)]
        if i <= G.signature.splits:
            shape = (*shape[:-2], shape[-2] // 2, shape[-1])
            steps.append(Step("split", None, shape, arrays))
    if G.signature.latent.vector:
        steps.append(Step("join", None, (math.prod(whole),), arrays))
    return steps
