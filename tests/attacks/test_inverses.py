"""A few dozen reversed networks of any options; `python -m tests.attacks.inverses --tries 1000` makes as many as one
wants."""

from __future__ import annotations

import pytest

from attacks import inverses
from pyinvnets.engines.numpy.networks.glow import AffineCoupling


def test_reversed_networks_of_any_options():
    made, failures = inverses.attack(54, seed=0)
    assert len(made) == len(inverses.KINDS) and min(made.values()) == 3
    assert not failures, "\n".join(failures)


@pytest.mark.julia
def test_the_engines_agree_on_them():
    _, failures = inverses.attack(36, seed=1, engine="julia")
    assert not failures, "\n".join(failures)


class TestTheAttackItself:
    """It sees what it looks for."""

    def test_a_gradient_of_the_wrong_sign(self, monkeypatch):
        right = AffineCoupling.backward_inv

        def wrong(self, dx, x, *condition, run):
            gradients = right(self, dx, x, *condition, run=run)
            run.gradients.get(self.RB.W3)[...] *= -1
            return gradients

        monkeypatch.setattr(AffineCoupling, "backward_inv", wrong)
        _, failures = inverses.attack(3, seed=0, kinds=("conditional_layer_glow",))
        assert failures and all("in the parameters has slope" in failure for failure in failures)

    def test_a_log_determinant_of_the_wrong_sign(self, monkeypatch):
        right = AffineCoupling.inverse_term

        def wrong(self, *arrays):
            x, term = right(self, *arrays)
            return x, -term

        monkeypatch.setattr(AffineCoupling, "inverse_term", wrong)
        _, failures = inverses.attack(3, seed=0, kinds=("glow",))
        assert failures and all("log-determinant" in failure for failure in failures)
