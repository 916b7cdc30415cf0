"""Fixtures that every test shares."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def julia_ready() -> bool:
    from pyinvnets.engines import julia

    return julia.ready()


def pytest_runtest_setup(item):
    if item.get_closest_marker("julia") and not julia_ready():
        pytest.skip("no Julia with InvertibleNetworks.jl is set up here")


@pytest.fixture(params=["numpy", pytest.param("julia", marks=pytest.mark.julia)])
def engine(request):
    """Each engine in turn; Julia where it is ready."""
    return request.param
