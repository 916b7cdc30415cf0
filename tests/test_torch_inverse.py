"""The inverse of a `FlowModule`, and its samples, with gradients."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pyinvnets as inv
from pyinvnets.validation.cases import CASES

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
FlowModule = pytest.importorskip("pyinvnets.torch").FlowModule

FLOWS = [
    "ActNorm",
    "CouplingLayerGlow, ExpClamp",
    "ConditionalLayerGlow",
    "NetworkGlow",
    "NetworkGlow, split",
    "NetworkConditionalGlow",
    "NetworkConditionalGlow, split",
    "NetworkConditionalHINT",
    "NetworkMultiScaleHINT, split, one scale",
    "NetworkHyperbolic",
    "Sequential",
    "SummarizedNet",
]


class Drawn:
    """A module in float64, and how it is sampled."""

    def __init__(self, name, engine):
        case = CASES[name]
        self.flow = FlowModule(case.network(engine))
        self.signature = self.flow.network.signature
        self.lanes = len(self.signature.inputs)
        self.inputs = [torch.from_numpy(array.T.copy()) for array in case.inputs()]
        self.condition = self.inputs[self.lanes :]
        self.where = {} if self.condition else {"spatial": case.shapes[0][:-2][::-1]}

    def draw(self, method, *condition, seed=1):
        torch.manual_seed(seed)
        results = getattr(self.flow, method)((2,), *(condition or self.condition), **self.where)
        return results if isinstance(results, tuple) else (results,)


@pytest.fixture(params=FLOWS)
def drawn(request, engine):
    return Drawn(request.param, engine)


def test_gradients_of_the_inverse(drawn):
    """In the latents and the condition, by differences."""
    results = drawn.flow(*drawn.inputs)
    latents = (results if isinstance(results, tuple) else (results,))[: drawn.lanes]
    arguments = [z.detach().clone().requires_grad_() for z in (*latents, *drawn.condition)]
    assert torch.autograd.gradcheck(drawn.flow.inverse, arguments, eps=1e-6, atol=1e-6)


def test_gradients_of_samples(drawn):
    """In the parameters and the condition, of samples and their log-densities, along random directions."""
    rng = torch.Generator().manual_seed(5)
    condition = [c.clone().requires_grad_() for c in drawn.condition]
    moved = [*drawn.flow.parameters(), *condition]
    method = "rsample" if drawn.signature.no_density else "rsample_and_log_prob"
    cotangents = [torch.randn(a.shape, generator=rng, dtype=a.dtype) for a in drawn.draw(method)]
    directions = [torch.randn(p.shape, generator=rng, dtype=p.dtype) for p in moved]

    def objective():
        return sum((c * a * a).sum() for c, a in zip(cotangents, drawn.draw(method, *condition), strict=True))

    gradients = torch.autograd.grad(objective(), moved)
    derivative = sum((g * v).sum().item() for g, v in zip(gradients, directions, strict=True))
    h, ends = 1e-6, []
    with torch.no_grad():
        for step in (h, -2 * h):
            for p, v in zip(moved, directions, strict=True):
                p += step * v
            ends.append(objective().item())
    assert derivative == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-4)


def test_samples_are_those_without_gradients(drawn):
    for got, expected in zip(drawn.draw("rsample"), drawn.draw("sample"), strict=True):
        assert got.requires_grad and not expected.requires_grad
        torch.testing.assert_close(got.detach(), expected, atol=1e-12, rtol=1e-12)


def test_log_prob_of_samples(drawn):
    if drawn.signature.no_density:
        pytest.skip("no density")
    *samples, log_prob = drawn.draw("rsample_and_log_prob")
    if drawn.condition:
        samples = [x.flatten(0, 1) for x in samples]
    repeated = [c.repeat(2, *(1,) * (c.ndim - 1)) for c in drawn.condition]
    expected = drawn.flow.log_prob(*samples, *repeated)
    torch.testing.assert_close(log_prob.flatten(), expected, atol=1e-9, rtol=1e-9)


def test_without_gradients(drawn):
    """What needs none has none."""
    results = drawn.flow(*drawn.inputs)
    latents = [z.detach() for z in (results if isinstance(results, tuple) else (results,))[: drawn.lanes]]
    with torch.no_grad():
        found = drawn.flow.inverse(*latents, *drawn.condition)
    found = found if isinstance(found, tuple) else (found,)
    assert not any(x.requires_grad for x in found)
    for got, expected in zip(found, drawn.inputs, strict=False):
        torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


class TestFresh:
    def test_the_first_samples_set_actnorm(self, engine):
        flow = FlowModule(inv.NetworkGlow(2, 8, 1, 3, engine=engine, seed=1))
        with pytest.raises(ValueError, match="image size is not known"):
            flow.rsample((9,))
        samples, log_prob = flow.rsample_and_log_prob((500,), spatial=(1, 1))
        assert flow.network.initialised and not any(p.isnan().any() for p in flow.parameters())
        np.testing.assert_allclose(samples.detach().mean((0, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(samples.detach().std((0, 2, 3)), 1, atol=1e-5)
        torch.testing.assert_close(flow.log_prob(samples), log_prob, atol=1e-4, rtol=1e-4)

    def test_given_conditions(self, engine):
        flow = FlowModule(inv.NetworkConditionalGlow(2, 3, 4, 2, 2, split_scales=True, engine=engine, seed=1))
        with pytest.raises(TypeError, match="rsample takes a condition, which has the image size"):
            flow.rsample(5)
        c = torch.randn(4, 3, 4, 8)
        assert flow.rsample((3,), c).shape == (3, 4, 2, 4, 8)
        assert flow.network.initialised

    def test_too_few(self, engine):
        flow = FlowModule(inv.NetworkGlow(2, 8, 1, 3, engine=engine, seed=1))
        with pytest.raises(ValueError, match="sample_shape must be a positive integer, got 0"):
            flow.rsample((2, 0), spatial=(1, 1))
        with pytest.raises(ValueError, match="cannot be initialised"):
            flow.rsample(1, spatial=(1, 1))


def test_a_flow_fits_a_gaussian_by_reverse_kl():
    """The flow learns where the density is from its values alone."""
    torch.manual_seed(1)
    flow = FlowModule(inv.NetworkGlow(2, 8, 1, 4, activation=inv.Sigmoid2Layer(), engine="numpy", seed=1))
    mean, variance = torch.tensor([2.0, -1.0]), 0.25

    def divergence(samples):
        x, log_prob = flow.rsample_and_log_prob((samples,), spatial=(1, 1))
        squares = ((x.flatten(1) - mean) ** 2).sum(1)
        return (log_prob + squares / (2 * variance)).mean() + np.log(2 * np.pi * variance)

    optimiser = torch.optim.Adam(flow.parameters(), 2e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 200)
    assert divergence(1000) > 1
    for _ in range(200):
        optimiser.zero_grad()
        divergence(64).backward()
        optimiser.step()
        schedule.step()
    assert abs(divergence(4000)) < 0.03


def test_a_copy_has_gradients_of_its_own():
    flow = Drawn("NetworkGlow", "numpy").flow
    flow.rsample(2, spatial=(2, 3)).sum().backward()
    other = copy.deepcopy(flow)
    before = [p.grad.clone() for p in flow.parameters()]
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1.1)
    other.zero_grad()
    other.rsample(2, spatial=(2, 3)).sum().backward()
    assert all((p.grad == g).all() for p, g in zip(flow.parameters(), before, strict=True))
    z = torch.randn(3, 3, 2, 3, dtype=torch.float64)
    assert not torch.allclose(other.inverse(z), flow.inverse(z))
