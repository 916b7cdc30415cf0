"""juliacall's warning about PyTorch: shown where it may be right, silent where it cannot be."""

from __future__ import annotations

import sys
import types
import warnings

import pytest

from pyinvnets.engines.julia import beside_torch

WARNING = "torch was imported before juliacall. This may cause a segfault."


def warned() -> bool:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with beside_torch.warned_where_it_matters():
            warnings.warn(WARNING, stacklevel=1)
    return bool(caught)


def test_pytorch_that_exports_no_llvm_is_no_danger():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    assert not beside_torch._exports_llvm(), "this PyTorch exports LLVM, so the warning is right"
    assert not warned()


def test_pytorch_that_exports_what_julia_looks_for(monkeypatch):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setattr(beside_torch, "LLVM", ("THPVariableClass", "malloc"))
    assert warned()


def test_pytorch_of_another_build(monkeypatch, tmp_path):
    """Where its library is not found, nothing is known of it."""
    monkeypatch.setitem(sys.modules, "torch", types.SimpleNamespace(__file__=str(tmp_path / "__init__.py")))
    assert warned()
