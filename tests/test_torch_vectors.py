"""Flows on rows as PyTorch modules, and flows as PyTorch's distributions."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import pyinvnets as inv

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
doors = pytest.importorskip("pyinvnets.torch")
FlowDistribution, FlowModule, VectorModule = doors.FlowDistribution, doors.FlowModule, doors.VectorModule

OPTIONS = {
    "affine": {},
    "spline": {"coupling": "spline"},
    "bounds": {"bounds": (-20, 20)},
    "half-lines": {"bounds": (None, 20)},
    "base": {"base": inv.StudentT(4.0)},
}
FLOWS = [(name, features, n_cond) for name in OPTIONS for features in (3, 1) for n_cond in (0, 2)]


def data(features, n_cond, n=100):
    rng = np.random.default_rng(1)
    C = rng.standard_normal((n, n_cond)) if n_cond else None
    X = rng.standard_normal((n, features)) + (0 if C is None else 3 * C[:, :1])
    return X, C


def flow_of(name, features, n_cond, engine="numpy"):
    """One that has seen data, and is no longer what it was initialised as."""
    flow = inv.VectorFlow(features, n_cond=n_cond, K=2, n_hidden=8, engine=engine, seed=1, **OPTIONS[name])
    flow.astype(np.float64).initialise(*data(features, n_cond))
    rng = np.random.default_rng(2)
    for p in inv.get_params(flow):
        p.data = p.data + 0.05 * rng.standard_normal(p.shape)
    return flow


def given(features, n_cond, n=5):
    X, C = data(features, n_cond)
    return [torch.from_numpy(array[:n]).requires_grad_() for array in (X, C) if array is not None]


@pytest.mark.parametrize(("name", "features", "n_cond"), FLOWS)
def test_density_is_that_of_the_flow(name, features, n_cond, engine):
    flow = flow_of(name, features, n_cond, engine)
    tensors = given(features, n_cond)
    expected = flow.log_prob(*(tensor.detach().numpy() for tensor in tensors))
    np.testing.assert_allclose(VectorModule(flow).log_prob(*tensors).detach().numpy(), expected, rtol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "features", "n_cond"), FLOWS)
def test_gradients_of_rows_and_condition(name, features, n_cond):
    module = VectorModule(flow_of(name, features, n_cond))
    assert torch.autograd.gradcheck(module.log_prob, given(features, n_cond, 3), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", OPTIONS)
def test_gradients_of_parameters(name):
    module = VectorModule(flow_of(name, 3, 2))
    tensors = given(3, 2)
    module.log_prob(*tensors).mean().backward()
    rng, step = np.random.default_rng(3), 1e-6
    directions = [torch.from_numpy(rng.standard_normal(p.shape)) for p in module.parameters()]
    slope = sum((p.grad * d).sum().item() for p, d in zip(module.parameters(), directions, strict=True))
    values = []
    for sign in (1, -1):
        moved = copy.deepcopy(module)
        with torch.no_grad():
            for p, d in zip(moved.parameters(), directions, strict=True):
                p.add_(sign * step * d)
            values.append(moved.log_prob(*tensors).mean().item())
    assert slope == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize(("name", "features", "n_cond"), FLOWS)
def test_samples(name, features, n_cond, engine):
    module = VectorModule(flow_of(name, features, n_cond, engine))
    condition = given(features, n_cond)[1:]
    torch.manual_seed(1)
    samples = module.sample((4, 3), *(c.detach() for c in condition))
    torch.manual_seed(1)
    reparametrised = module.rsample((4, 3), *condition)
    assert samples.shape == (4, 3, *((5,) if n_cond else ()), features)
    assert not samples.requires_grad and reparametrised.requires_grad
    torch.testing.assert_close(samples, reparametrised.detach(), rtol=1e-9, atol=1e-9)
    if OPTIONS[name].get("bounds"):
        assert (samples < 20).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_samples_have_gradients_of_the_condition(name):
    module = VectorModule(flow_of(name, 3, 2))

    def draw(condition):
        torch.manual_seed(1)
        return module.rsample((2,), condition)

    assert torch.autograd.gradcheck(draw, given(3, 2, 3)[1:], atol=1e-5, rtol=1e-4)


def test_outside_of_the_bounds():
    module = VectorModule(flow_of("bounds", 3, 2))
    x, condition = given(3, 2)
    outside = x.detach().clone()
    outside[1, 2] = 20.5
    outside = outside.requires_grad_()
    log_prob = module.log_prob(outside, condition)
    assert log_prob[1] == -math.inf and log_prob[[0, 2, 3, 4]].isfinite().all()
    log_prob[[0, 2]].sum().backward()
    assert outside.grad.isfinite().all() and condition.grad.isfinite().all()


def test_the_loss_of_one_feature_is_a_bound_of_its_density():
    """One draw of noise in the integral: its exponential is the density in the mean."""
    module = VectorModule(flow_of("affine", 1, 2))
    tensors = given(1, 2, 20)
    torch.manual_seed(1)
    with torch.no_grad():
        log_prob = module.log_prob(*tensors)
        ratios = torch.stack([(-module.loss(*tensors) - log_prob).exp() for _ in range(500)])
    assert ((ratios.mean(0) - 1).abs() < 5 * ratios.std(0) / math.sqrt(len(ratios))).all()
    assert (ratios.log().mean(0) < 0).all()


def test_copies_are_whole():
    module = VectorModule(flow_of("affine", 3, 2))
    before = module.log_prob(*given(3, 2))
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert other.flow.network is other.network.network is not module.flow.network
        torch.testing.assert_close(other.log_prob(*given(3, 2)), before)
    other.load_state_dict({name: value + 0.01 for name, value in other.state_dict().items()})
    assert not torch.allclose(other.log_prob(*given(3, 2)), before)
    torch.testing.assert_close(module.log_prob(*given(3, 2)), before)


def test_an_embedding_is_trained_with_it():
    torch.manual_seed(1)
    theta = torch.randn(400, 1)
    curves = torch.sin(theta * torch.linspace(0, 3, 20)) + 0.1 * torch.randn(400, 20)
    embed = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    flow = inv.VectorFlow(1, n_cond=2, K=2, n_hidden=8, engine="numpy", seed=1)
    flow.initialise(theta.numpy(), embed(curves).detach().numpy())
    module = VectorModule(flow)
    optimiser = torch.optim.Adam([*embed.parameters(), *module.parameters()], 1e-2)
    losses = []
    for _ in range(60):
        loss = module.loss(theta, embed(curves)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x, c: m.log_prob(x), "takes a condition too"),
        (lambda m, x, c: m.log_prob(x.float(), c), "must be torch.float64"),
        (lambda m, x, c: m.log_prob(x[:, :2], c), r"x must have shape \(N, 3\)"),
        (lambda m, x, c: m.log_prob(x, c[:3]), "as many rows"),
        (lambda m, x, c: m.sample((2,), c[0]), r"condition must have shape \(N, 2\)"),
        (lambda m, x, c: VectorModule(inv.NetworkGlow(2, 4, 1, 1, engine="numpy")), "expected a VectorFlow"),
        (lambda m, x, c: VectorModule(inv.VectorFlow(2, engine="numpy")), "has seen no data"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(VectorModule(flow_of("affine", 3, 2)), *(t.detach() for t in given(3, 2)))


# Distributions


def glow(n_cond=0):
    torch.manual_seed(1)
    if n_cond:
        flow = FlowModule(inv.NetworkConditionalGlow(2, n_cond, 8, 1, 2, engine="numpy", seed=1))
        flow(torch.randn(20, 2, 4, 6), torch.randn(20, n_cond, 4, 6))
    else:
        flow = FlowModule(inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1))
        flow(torch.randn(20, 2, 4, 6))
    return flow


def distributions():
    _, C = data(3, 2)
    images = torch.randn(3, 5, 4, 6)
    return {
        "images": (FlowDistribution(glow()), (), (2, 4, 6)),
        "images given images": (FlowDistribution(glow(5), images), (3,), (2, 4, 6)),
        "rows": (FlowDistribution(VectorModule(flow_of("affine", 3, 0))), (), (3,)),
        "rows given rows": (
            FlowDistribution(VectorModule(flow_of("bounds", 3, 2)), torch.from_numpy(C[:6]).view(3, 2, 2)),
            (3, 2),
            (3,),
        ),
    }


@pytest.mark.parametrize("name", ["images", "images given images", "rows", "rows given rows"])
def test_distribution(name):
    distribution, batch, event = distributions()[name]
    assert distribution.batch_shape == batch and distribution.event_shape == event
    for expanded, shape in ((distribution, batch), (distribution.expand((4, *batch)), (4, *batch))):
        x = expanded.rsample((5,))
        assert x.shape == (5, *shape, *event) and x.requires_grad
        assert not expanded.sample().requires_grad and expanded.sample().shape == (*shape, *event)
        log_prob = expanded.log_prob(x)
        assert log_prob.shape == (5, *shape) and log_prob.isfinite().all()
        torch.testing.assert_close(log_prob[2], distribution.log_prob(x[2]))
        assert distribution.support.check(x).all()
    one = distribution.log_prob(x[0, 0] if batch else x[0, 0][None])
    torch.testing.assert_close(one.view(-1)[0], log_prob[0, 0].view(-1)[0])


def test_a_distribution_given_rows_is_that_of_each_row():
    distribution, _, _ = distributions()["rows given rows"]
    flow, C = distribution.flow.flow, distribution.condition.numpy()
    x = distribution.sample()
    expected = flow.log_prob(x.view(-1, 3).numpy(), C.reshape(-1, 2))
    np.testing.assert_allclose(distribution.log_prob(x).detach().view(-1).numpy(), expected, rtol=1e-9)


def test_bounds_are_the_support():
    flow = inv.VectorFlow(4, K=1, bounds=[(-1, 3), (2, None), (None, -1), None], engine="numpy", seed=1)
    rng = np.random.default_rng(1)
    U = rng.standard_normal((50, 4)).astype(np.float32)
    flow.initialise(flow.features.bounds.bounded(U))
    # Asked for here, since `torch.compile` turns the checks of all distributions off that do not ask.
    distribution = FlowDistribution(VectorModule(flow), validate_args=True)
    x = distribution.sample((20,))
    assert distribution.support.check(x).all()
    assert not distribution.support.check(x + torch.tensor([0.0, 0.0, 1e3, 0.0])).any()
    to = torch.distributions.biject_to(distribution.support)
    torch.testing.assert_close(to(to.inv(x)), x)
    with pytest.raises(ValueError, match="support"):
        distribution.log_prob(x - torch.tensor([9.0, 0.0, 0.0, 0.0]))


def test_a_distribution_takes_a_flow_with_its_condition():
    with pytest.raises(TypeError, match="needs a condition"):
        FlowDistribution(glow(5))
    with pytest.raises(TypeError, match="takes no condition"):
        FlowDistribution(glow(), torch.randn(3, 5, 4, 6))
    with pytest.raises(TypeError, match="expected a VectorModule"):
        FlowDistribution(inv.NetworkGlow(2, 8, 1, 2, engine="numpy"))
    with pytest.raises(TypeError, match="one lane"):
        FlowDistribution(FlowModule(inv.NetworkConditionalHINT(2, 4, 1, engine="numpy")))
    new = FlowModule(inv.NetworkGlow(2, 8, 1, 2, engine="numpy", seed=1))
    with pytest.raises(ValueError, match="image size is not known"):
        FlowDistribution(new)
    assert FlowDistribution(new, spatial=(4, 6)).event_shape == (2, 4, 6)
