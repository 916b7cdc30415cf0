"""A few killed trainings; `python -m tests.attacks.kills` kills as many as one wants."""

from __future__ import annotations

import sys

import pytest

from attacks import kills


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_as_if_nothing_had_happened(tmp_path):
    assert kills.attack(tmp_path, kills=5, seed=1) > 0
