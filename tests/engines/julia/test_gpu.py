"""On a GPU: the checks of device_checks.py, memory shared with CuPy and PyTorch, device memory that does not grow."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv
from helpers.device_checks import DeviceChecks, batch, glow

pytestmark = [pytest.mark.gpu, pytest.mark.julia]


def address(X):
    return X.__cuda_array_interface__["data"][0]


class TestGPU(DeviceChecks):
    def test_cupy(self):
        cupy = pytest.importorskip("cupy")
        self._check_sharing(cupy.asarray(batch((5, 3, 4, 8))).T, cupy.asarray, cupy.asnumpy)

    def test_pytorch(self):
        torch = pytest.importorskip("torch")
        X = torch.as_tensor(batch((5, 3, 4, 8)), device="cuda").permute(3, 2, 1, 0)
        self._check_sharing(X, lambda Z: torch.as_tensor(Z, device="cuda"), lambda X: X.cpu().numpy())

    @staticmethod
    def _check_sharing(theirs, imported, to_numpy):
        """In and out at the same address, with the same numbers; what they queue is done before Julia reads."""
        ours = inv.gpu(theirs)
        assert address(ours) == address(theirs)
        G = glow()
        expected = G.forward(np.asfortranarray(to_numpy(theirs)))[0]
        Z, _ = G.gpu().forward(theirs)
        assert address(imported(Z)) == address(Z)
        assert np.allclose(to_numpy(imported(Z)), expected, rtol=0, atol=1e-9)
        for _ in range(100):
            theirs += 1.0
        changed = np.asfortranarray(to_numpy(theirs))
        assert np.array_equal(inv.cpu(ours), changed)

    def test_device_memory_does_not_grow(self):
        bridge = inv.engines.julia.start().bridge
        used = bridge.seval("() -> (GC.gc(); CUDA.reclaim(); Int(CUDA.used_memory()))")
        G, opt = glow().astype(np.float32).gpu(), inv.Adam(1e-4)
        X = inv.gpu(batch((8, 4, 3, 16), np.float32))

        def iterate(times):
            for _ in range(times):
                Z, _ = G.forward(X)
                G.backward(Z / 16, Z)
                opt.update(G)
                inv.clear_grad(G)

        iterate(10)
        before = used()
        iterate(1000)
        assert used() <= before
