"""What InvertibleNetworks.jl 2.3.1 cannot do, by the constructor's arguments. Each fails there, or is wrong."""

from __future__ import annotations

import math
from typing import Any

_VERSION = "InvertibleNetworks.jl 2.3.1"


def limit(kind: str, arguments: dict[str, Any]) -> str | None:
    """Why upstream cannot make a network of this kind with these arguments, where it cannot."""
    if _size(arguments) > _LARGEST:
        return "its sizes multiply up to more parameters than any memory holds; write smaller ones"
    unable = _LIMITS.get(kind, lambda arguments: None)(arguments)
    return unable and f'{_VERSION} cannot do {unable}; write engine="numpy"'


_LARGEST = 2**56
"""Julia multiplies sizes up without looking, and where they overflow it may end the process."""


def _size(arguments: dict[str, Any]) -> int:
    """All numbers among the arguments multiplied, the kernels' once for each axis."""
    axes = {"k1": arguments.get("ndims", 2), "k2": arguments.get("ndims", 2)}
    numbers = {name: value for name, value in arguments.items() if type(value) is int and value > 0}
    return math.prod(value ** axes.get(name, 1) for name, value in numbers.items())


def _deep_hint(arguments: dict[str, Any]) -> str | None:
    """Upstream's HINT does not go deeper in `forward` on one spatial axis, but does in `inverse`."""
    deep = arguments["ndims"] == 1 and arguments["n_in"] > 4
    return "HINT with ndims=1 and more than four channels" if deep else None


def _loop(arguments: dict[str, Any]) -> str | None:
    return _deep_hint(arguments) if arguments["type"] == "HINT" else None


def _multiscale_hint(arguments: dict[str, Any]) -> str | None:
    """Upstream counts four channels for one after a squeeze, which is so on two spatial axes only."""
    if arguments["ndims"] != 2:
        return f"multiscale HINT with ndims={arguments['ndims']}"
    return _one_scale(arguments)


def _one_scale(arguments: dict[str, Any]) -> str | None:
    return "split_scales=True with L=1" if arguments["split_scales"] and arguments["L"] == 1 else None


def _squeeze_on_a_line(arguments: dict[str, Any]) -> str | None:
    """On one spatial axis only two of upstream's squeezes work."""
    squeezer, splits = arguments["squeezer"], arguments["split_scales"] or arguments["n_in"] == 1
    works = type(squeezer).__name__ == "ShuffleLayer" and squeezer.pattern != "patch"
    return f"{squeezer!r} with ndims=1" if splits and arguments["ndims"] == 1 and not works else None


def _on_a_line(arguments: dict[str, Any]) -> str | None:
    return "ndims=1" if arguments["ndims"] == 1 else None


_LIMITS = {
    "CouplingLayerHINT": _deep_hint,
    "ConditionalLayerHINT": _deep_hint,
    "NetworkConditionalHINT": _deep_hint,
    "NetworkLoop": _loop,
    "NetworkMultiScaleHINT": _multiscale_hint,
    "NetworkMultiScaleConditionalHINT": _multiscale_hint,
    "NetworkGlow": _squeeze_on_a_line,
    "NetworkConditionalGlow": lambda arguments: _one_scale(arguments) or _squeeze_on_a_line(arguments),
    "NetworkSpline": _squeeze_on_a_line,
    "NetworkConditionalSpline": lambda arguments: _one_scale(arguments) or _squeeze_on_a_line(arguments),
    "HyperbolicLayer": _on_a_line,
    "NetworkHyperbolic": _on_a_line,
}
