"""Flows in Pyro's models and guides."""

from __future__ import annotations

import numpy as np
import pytest

import pyinvnets as inv

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pyro = pytest.importorskip("pyro", reason="Pyro is not installed")
FlowModule, VectorModule = (getattr(pytest.importorskip("pyinvnets.torch"), n) for n in ("FlowModule", "VectorModule"))
FlowDistribution = pytest.importorskip("pyinvnets.pyro").FlowDistribution


@pytest.fixture(autouse=True)
def fresh():
    pyro.clear_param_store()
    pyro.set_rng_seed(1)


def module(n_cond=0):
    rng = np.random.default_rng(1)
    flow = inv.VectorFlow(2, n_cond=n_cond, K=2, n_hidden=8, engine="numpy", seed=1)
    rows = [rng.standard_normal((100, width), dtype=np.float32) for width in (2, n_cond) if width]
    flow.initialise(*rows)
    return VectorModule(flow)


def test_a_plate_of_samples():
    conditions = torch.randn(4, 3)
    flow = module(3)

    def model(x=None):
        with pyro.plate("rows", 4):
            return pyro.sample("x", FlowDistribution(flow, conditions), obs=x)

    x = model()
    trace = pyro.poutine.trace(model).get_trace(x.detach())
    torch.testing.assert_close(trace.log_prob_sum(), flow.log_prob(x, conditions).sum())
    with pyro.plate("many", 5):
        assert pyro.sample("y", FlowDistribution(flow, conditions).to_event(1)).shape == (5, 4, 2)


@pytest.mark.slow
def test_a_flow_as_guide():
    """Variational inference finds the posterior of a Gaussian's mean, which is Gaussian."""
    flow = module()
    observed = torch.tensor([1.5, -0.5])

    def model():
        theta = pyro.sample("theta", pyro.distributions.Normal(torch.zeros(2), 1).to_event(1))
        pyro.sample("x", pyro.distributions.Normal(theta, 0.5).to_event(1), obs=observed)

    def guide():
        pyro.module("flow", flow)
        pyro.sample("theta", FlowDistribution(flow))

    loss = pyro.infer.Trace_ELBO(num_particles=32, vectorize_particles=True)
    inference = pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 1e-2}), loss)
    for _ in range(300):
        inference.step()
    samples = flow.sample((2000,))
    torch.testing.assert_close(samples.mean(0), observed * 0.8, rtol=0, atol=0.06)
    torch.testing.assert_close(samples.std(0), torch.full((2,), 0.2**0.5), rtol=0, atol=0.06)
