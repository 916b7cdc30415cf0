"""sbi's workflow with a flow of pyinvnets as its density estimator: simulate, train, sample, check.

Run it with `python examples/sbi_workflow.py` (`pip install 'pyinvnets[sbi]'`); it needs no Julia.
"""

import torch
from sbi.analysis import pairplot
from sbi.diagnostics import check_sbc, run_sbc
from sbi.inference import NPE, simulate_for_sbi
from sbi.utils import BoxUniform

from pyinvnets.sbi import posterior_flow

torch.manual_seed(0)
torch.set_num_threads(1)  # leaves the cores to NumPy


def simulator(theta):
    """A point on a half circle around one of two places, of which the sign of the parameters' sum says nothing."""
    angle, radius = torch.pi * (torch.rand(len(theta)) - 0.5), 0.3 + 0.03 * torch.randn(len(theta))
    moon = torch.stack([radius * angle.cos() + 0.25, radius * angle.sin()], 1)
    return moon + torch.stack([-theta.sum(1).abs(), theta[:, 1] - theta[:, 0]], 1) / 2**0.5


prior = BoxUniform(-torch.ones(2), torch.ones(2))
theta, x = simulate_for_sbi(simulator, prior, num_simulations=3000)

# The only line that is not sbi's.
build = posterior_flow(coupling="spline", bounds=(-1, 1), engine="numpy", seed=1)

inference = NPE(prior, density_estimator=build)
inference.append_simulations(theta, x).train(learning_rate=2e-3, max_num_epochs=40)
posterior = inference.build_posterior()

observation = torch.zeros(1, 2)
samples = posterior.sample((2000,), x=observation)
log_prob = posterior.log_prob(samples, x=observation)

truths = prior.sample((300,))
ranks, averaged = run_sbc(truths, simulator(truths), posterior, num_posterior_samples=200)
checks = check_sbc(ranks, truths, averaged, num_posterior_samples=200)
print("calibration, p-value of each parameter:", [round(p.item(), 3) for p in checks["ks_pvals"]])

figure, axes = pairplot(samples, limits=[[-1, 1]] * 2, figsize=(5, 5), labels=["theta 1", "theta 2"])
figure.savefig("sbi_workflow.png", dpi=90)
print("sbi_workflow.png shows the posterior of an observation at the origin, which has two moons")
