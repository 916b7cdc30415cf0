"""Fixtures that every test shares, and what is skipped without Julia or with it."""

from __future__ import annotations

import functools

import pytest


@functools.cache
def julia_ready() -> bool:
    from pyinvnets.engines import julia

    return julia.ready()


@functools.cache
def gpu_ready() -> bool:
    import pyinvnets

    return pyinvnets.gpu_available()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item):
    if item.get_closest_marker("julia") and not julia_ready():
        pytest.skip("no Julia with InvertibleNetworks.jl is set up here")
    if item.get_closest_marker("gpu") and not gpu_ready():
        pytest.skip("no GPU that CUDA.jl can use is here")
    return (yield from _skipping_what_upstream_cannot(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    return (yield from _skipping_what_upstream_cannot(item))


def _skipping_what_upstream_cannot(item):
    """What the Julia engine refuses because upstream cannot do it; test_julia.py holds the list of just that."""
    try:
        return (yield)
    except ValueError as error:
        if item.get_closest_marker("julia") and "InvertibleNetworks.jl 2.3.1 cannot" in str(error):
            pytest.skip(str(error))
        raise


@pytest.fixture(params=["numpy", pytest.param("julia", marks=pytest.mark.julia)])
def engine(request):
    """Each engine in turn; Julia where it is ready."""
    return request.param
