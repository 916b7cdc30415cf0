"""Fixtures that every test shares."""

from __future__ import annotations

import pytest

ENGINES = ["numpy"]


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param
