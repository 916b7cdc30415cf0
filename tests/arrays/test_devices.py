"""Arrays on a GPU, as far as this goes without one: their description, what is refused, and the checks of
device_checks.py on a stand-in for a GPU's arrays."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import pyinvnets as inv
from helpers.processes import ROOT, run_python
from pyinvnets.arrays import cuda_interface as devices


class Fake:
    """Describes memory that is not there."""

    def __init__(self, **changes):
        self.__cuda_array_interface__ = {
            "version": 3,
            "shape": (4, 3, 2),
            "typestr": "<f4",
            "data": (4096, False),
            "strides": (4, 16, 48),
            "stream": 7,
        } | changes


class TestDescription:
    def test_column_major(self):
        assert devices.described(Fake()) == (4096, np.dtype(np.float32), (4, 3, 2))
        assert devices.described(Fake(typestr="<f8", strides=(8, 32, 96))) == (4096, np.dtype(np.float64), (4, 3, 2))

    def test_axes_of_one_may_have_any_stride(self):
        assert devices.described(Fake(shape=(1, 3, 1), strides=(999, 4, 1)))[2] == (1, 3, 1)

    def test_without_strides_it_is_row_major(self):
        """Which is column-major where one axis alone is longer than one."""
        assert devices.described(Fake(shape=(1, 1, 6), strides=None))[2] == (1, 1, 6)
        with pytest.raises(ValueError, match="column-major"):
            devices.described(Fake(strides=None))

    @pytest.mark.parametrize(
        ("changes", "error", "message"),
        [
            ({"typestr": "<f2"}, TypeError, "float32 or float64, got <f2"),
            ({"typestr": ">f4"}, TypeError, "got >f4"),
            ({"mask": object()}, TypeError, "masked"),
            ({"data": (4096, True)}, ValueError, "read-only"),
            ({"strides": (24, 8, 4)}, ValueError, r"strides \(4, 16, 48\), got \(24, 8, 4\).*permute"),
            ({"strides": (4, 16, 96)}, ValueError, "column-major"),
            ({"strides": (-4, 16, 48)}, ValueError, "column-major"),
        ],
    )
    def test_what_julia_cannot_use(self, changes, error, message):
        with pytest.raises(error, match=message):
            devices.described(Fake(**changes))

    @pytest.mark.parametrize("shape", [(5,), (4, 3, 2), (1, 1, 2, 150)])
    def test_strides_are_numpys(self, shape):
        X = np.empty(shape, order="F")
        strides = devices.column_major(shape, 8)
        assert all(n == 1 or a == b for n, a, b in zip(shape, strides, X.strides, strict=True))


class TestWithoutGPU:
    def test_a_numpy_network_stays_where_it_is(self):
        G = inv.ActNorm(3, engine="numpy")
        assert G.cpu() is G and not G.on_gpu
        with pytest.raises(ValueError, match='engine="julia"'):
            G.gpu()

    def test_an_array_on_a_gpu_is_refused_on_the_cpu(self):
        with pytest.raises(TypeError, match=r"inv\.cpu\(X\), or G\.gpu\(\)"):
            inv.ActNorm(3, engine="numpy").forward(Fake())

    def test_cpu_gives_a_numpy_array_back(self):
        X = np.zeros((2, 3))
        assert inv.cpu(X) is X
        with pytest.raises(TypeError, match="cpu: X must be"):
            inv.cpu([1.0])

    @pytest.mark.parametrize("X", [[1.0, 2.0], np.zeros((2, 2), np.int32)])
    def test_what_cannot_go_there(self, X):
        with pytest.raises(TypeError, match=r"gpu: X must be"):
            inv.gpu(X)

    def test_without_julia_none_is_started(self):
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON_JULIACALL", "JULIA"))}
        code = "import sys, pyinvnets as inv; print(inv.gpu_available(), 'juliacall' in sys.modules)"
        run = run_python(code, "-W", "error", environment=environment | {"PYTHON_JULIAPKG_PROJECT": "/nowhere"})
        assert run.stdout.split() == ["False", "False"], run.stderr

    @pytest.mark.julia
    def test_where_cuda_finds_none(self):
        if inv.gpu_available():
            pytest.skip("there is a GPU")
        with pytest.raises(RuntimeError, match="CUDA.jl finds no GPU"):
            inv.gpu(np.zeros((2, 2)))
        G = inv.ActNorm(3, engine="julia")
        with pytest.raises(RuntimeError, match=r"ActNorm\.gpu"):
            G.gpu()
        assert not G.on_gpu


@pytest.mark.julia
def test_on_a_stand_in():
    """Of the networks those that split alone: each compiles much."""
    chosen = "not test_a_network or (Glow and split)"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", chosen, "tests/engines/julia/on_stand_in.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-4000:]
