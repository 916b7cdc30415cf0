"""Flows in sbi: its workflow, with our density estimator."""

from __future__ import annotations

import copy

import pytest

import pyinvnets as inv

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
sbi = pytest.importorskip("sbi", reason="sbi is not installed")
posterior_flow = pytest.importorskip("pyinvnets.sbi").posterior_flow

pytestmark = pytest.mark.filterwarnings("ignore")  # sbi's own


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """sbi writes logs to the current folder."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(1)


def simulations(n=300, features=2):
    theta = 4 * torch.rand(n, features) - 2
    return theta, torch.cat([theta + 0.2 * torch.randn(n, features), theta[:, :1] ** 2], 1)


def estimator(features=2, **options):
    build = posterior_flow(**({"K": 2, "n_hidden": 8, "engine": "numpy", "seed": 1} | options))
    return build(*simulations(300, features))


@pytest.mark.parametrize("options", [{}, {"coupling": "affine"}, {"bounds": (-2, 2)}, {"features": 1}])
def test_shapes_as_sbi_wants_them(options):
    made = estimator(**options)
    theta, x = simulations(6, options.get("features", 2))
    features = theta.shape[1]
    assert made.input_shape == (features,) and made.condition_shape == (features + 1,)
    expected = made.net.log_prob(theta, x)
    assert made.loss(theta, x).shape == (6,)
    torch.testing.assert_close(made.log_prob(theta, x), expected[None])
    torch.testing.assert_close(made.log_prob(theta[None], x), expected[None])
    many = made.log_prob(theta[:, None], x[:1])
    assert many.shape == (6, 1)
    torch.testing.assert_close(many[:, 0], made.net.log_prob(theta, x[:1]))
    samples, log_prob = made.sample_and_log_prob((4,), x)
    assert samples.shape == (4, 6, features) and log_prob.shape == (4, 6)
    torch.testing.assert_close(log_prob[2], made.net.log_prob(samples[2], x))
    with pytest.raises(ValueError, match="condition"):
        made.log_prob(theta, x[:, :1])


def test_the_seed_of_torch_determines_the_weights():
    def weights():
        torch.manual_seed(5)
        return torch.nn.utils.parameters_to_vector(estimator(seed=None).parameters())

    torch.testing.assert_close(weights(), weights(), rtol=0, atol=0)


def test_observations_of_several_axes_need_an_embedding():
    theta, _ = simulations()
    images = theta[:, :, None] + torch.randn(300, 2, 5)
    options = {"K": 2, "n_hidden": 8, "engine": "numpy", "seed": 1}
    with pytest.raises(ValueError, match="embedding_net"):
        posterior_flow(**options)(theta, images)
    with pytest.raises(ValueError, match="rows"):
        posterior_flow(embedding_net=torch.nn.Identity(), **options)(theta, images)
    embedding = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(10, 3))
    made = posterior_flow(embedding_net=embedding, **options)(theta, images)
    made.loss(theta, images).mean().backward()
    assert embedding[1].weight.grad.abs().max() > 0
    assert made.condition_shape == (2, 5) and made.sample((3,), images[:2]).shape == (3, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("coupling", ["affine", "spline"])
def test_workflow(coupling):
    """Simulate, train, build, sample, check, as in sbi's tutorials."""
    from sbi.analysis import pairplot
    from sbi.diagnostics import check_sbc, run_sbc
    from sbi.inference import NPE, simulate_for_sbi
    from sbi.utils import BoxUniform

    prior = BoxUniform(-2 * torch.ones(2), 2 * torch.ones(2))

    def simulator(theta):
        return theta + 1.0 + 0.3 * torch.randn_like(theta)

    theta, x = simulate_for_sbi(simulator, prior, num_simulations=1000)
    build = posterior_flow(coupling=coupling, K=3, n_hidden=16, engine="numpy", seed=1)
    inference = NPE(prior, density_estimator=build, show_progress_bars=False)
    inference.append_simulations(theta, x).train(max_num_epochs=15, learning_rate=5e-3)
    posterior = inference.build_posterior()
    observation = torch.tensor([[0.8, 0.6]])
    samples = posterior.sample((2000,), x=observation, show_progress_bars=False)
    torch.testing.assert_close(samples.mean(0), observation[0] - 1, rtol=0, atol=0.08)
    torch.testing.assert_close(samples.std(0), torch.full((2,), 0.3), rtol=0, atol=0.06)
    assert posterior.log_prob(samples[:5], x=observation).shape == (5,)
    best = posterior.set_default_x(observation).map(num_iter=30, num_to_optimize=5, show_progress_bars=False)
    torch.testing.assert_close(best.view(2), observation[0] - 1, rtol=0, atol=0.2)
    pairplot(samples)

    truths = prior.sample((200,))
    ranks, averaged = run_sbc(truths, simulator(truths), posterior, num_posterior_samples=100, show_progress_bar=False)
    assert check_sbc(ranks, truths, averaged, num_posterior_samples=100)["ks_pvals"].min() > 0.001
    assert copy.deepcopy(posterior).sample((3,), x=observation, show_progress_bars=False).shape == (3, 2)
    assert inv.get_params(posterior.posterior_estimator.net.flow)
