"""Numbers that users give: NumPy's are numbers like Python's own, and are kept as these."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np


def is_integer(value: Any) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def as_python(value: Any) -> Any:
    """NumPy's scalars, in tuples and lists too, as Python's own; anything else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (tuple, list):
        return type(value)(map(as_python, value))
    return value
