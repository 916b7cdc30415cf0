"""PyTorch imported before Julia: what juliacall warns of, and whether it can happen here.

Older PyTorch exports the symbols of the LLVM that it is built with. Julia, loaded later, then calls into PyTorch's LLVM
in place of its own, or the other way round, and crashes: https://github.com/pytorch/pytorch/issues/78829. PyTorch that
exports none has nothing to be confused with.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

LLVM = ("_ZN4llvm11LLVMContextC1Ev", "LLVMContextCreate")
"""The constructor of an LLVM context, in C++ and in C: no program that compiles does without."""


@contextlib.contextmanager
def warned_where_it_matters() -> Iterator[None]:
    """Silence juliacall's warning in the block where PyTorch exports no LLVM."""
    with warnings.catch_warnings():
        if "torch" in sys.modules and not _exports_llvm():
            warnings.filterwarnings("ignore", "torch was imported before juliacall")
        yield


def _exports_llvm() -> bool:
    """Whether PyTorch's library does; where it is not found, it may."""
    folder = Path(sys.modules["torch"].__file__ or "").parent / "lib"
    try:
        library = ctypes.CDLL(str(next(folder.glob("libtorch_cpu.*"))))
    except (OSError, StopIteration):
        return True
    return any(hasattr(library, name) for name in LLVM)
