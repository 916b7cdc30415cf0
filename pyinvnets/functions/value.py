"""The base of activations and squeezers, which are values that each engine computes with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from ..arrays.checks import checked
from ..arrays.scalars import as_python
from ..arrays.spec import ArraySpec
from ..engines.choice import get_engine

_ANY = ArraySpec()


@dataclass(frozen=True)
class _Value:
    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, as_python(getattr(self, field.name)))

    @property
    def arguments(self) -> dict[str, Any]:
        return asdict(self)

    def _call(self, function: str, engine: str | None, **arrays: np.ndarray) -> np.ndarray:
        arrays = {k: checked(k, a, _ANY, None, type(self).__name__) for k, a in arrays.items()}
        return get_engine(engine).call(function, self, *arrays.values())
