"""The checks of device_checks.py on JLArrays in place of a GPU's arrays, in a process of its own, because Julia stays
changed. All of them, in a minute or two: `python -m pytest tests/engines/julia/on_stand_in.py`."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest

import pyinvnets as inv
from helpers.comparison import assert_close
from helpers.device_checks import BOUND, DeviceChecks, batch, glow

pytestmark = pytest.mark.julia


@pytest.fixture(scope="module", autouse=True)
def _stand_in():
    bridge = inv.engines.julia.start().bridge
    bridge.include(str(Path(__file__).parents[2] / "helpers" / "stand_in.jl"))


class TestStandIn(DeviceChecks):
    def test_no_element_is_read_alone(self):
        bridge = inv.engines.julia.start().bridge
        with pytest.raises(Exception, match="Scalar indexing is disallowed"):
            bridge.seval("A -> A[1]")(inv.gpu(batch((2, 2))).julia)

    def test_memory_of_another_library(self):
        """The memory itself is seen, and is kept as long as a proxy of it is."""
        X = batch((8, 4, 3, 5))

        class Producer:
            __cuda_array_interface__ = {  # noqa: RUF012
                "version": 2,
                "shape": X.shape,
                "typestr": "<f8",
                "data": (X.ctypes.data, False),
                "strides": X.strides,
            }

        G = glow()
        expected = G.forward(X)[0]
        producer = Producer()
        Z, _ = G.gpu().forward(producer)
        assert_close(Z.numpy(), expected, BOUND, "forward")
        view = inv.gpu(producer)[..., 2:]
        view *= 0.0
        assert not X[..., 2:].any() and X[..., :2].all()
        alive = weakref.ref(producer)
        del producer
        gc.collect()
        assert alive() is not None
        del view
        gc.collect()
        assert alive() is None
