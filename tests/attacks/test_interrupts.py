"""A few hundred interrupted calls; `python -m tests.attacks.interrupts --tries 50000` makes as many as one wants."""

from __future__ import annotations

import numpy as np
import pytest

from attacks import interrupts


def test_an_interrupted_call_changes_nothing_else(tmp_path):
    made, failures = interrupts.attack(390, seed=0, folder=tmp_path)
    assert len(made) == len(interrupts.METHODS) and min(made.values()) == 30
    assert not failures, "\n".join(failures)


class TestTheAttackItself:
    """It sees what it looks for."""

    def test_a_mode_that_stays_switched(self, tmp_path, monkeypatch):
        def forward(subject):
            np.seterr(all="ignore")
            subject.G.forward(*subject.inputs)
            np.seterr(**before)

        before = np.geterr()
        monkeypatch.setitem(interrupts.METHODS, "forward", interrupts.Method(forward))
        _, failures = interrupts.attack(20, seed=0, folder=tmp_path, methods=("forward",))
        assert failures and all("NumPy's handling of errors" in failure for failure in failures)
        assert np.geterr() == before

    @pytest.mark.parametrize("part", ["data", "grad"])
    def test_a_parameter_that_stays_changed(self, part, tmp_path, monkeypatch):
        def forward(subject):
            array = getattr(interrupts.inv.get_params(subject.G)[0], part)
            array += 1
            subject.G.forward(*subject.inputs)
            array -= 1

        monkeypatch.setitem(interrupts.METHODS, "forward", interrupts.Method(forward))
        _, failures = interrupts.attack(20, seed=0, folder=tmp_path, methods=("forward",))
        assert failures and all(f" {part} has changed" in failure for failure in failures)
