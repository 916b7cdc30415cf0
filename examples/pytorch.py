"""A PyTorch encoder before a conditional flow, trained together: the posterior of a decay's amplitude and rate.

Run it with `python examples/pytorch.py` (`pip install 'pyinvnets[torch]'`); it needs no Julia.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import pyinvnets as inv
from pyinvnets.torch import FlowModule

torch.manual_seed(0)
times, noise = torch.linspace(0, 2, 30), 0.3


def decay(theta):
    """The curve of a logarithmic amplitude and a logarithmic rate, shape (..., 2) to (..., 30)."""
    amplitude, rate = theta.exp().unsqueeze(-2).unbind(-1)
    return amplitude * torch.exp(-rate * times)


def simulate(n):
    theta = torch.randn(n, 2)
    return theta, decay(theta) + noise * torch.randn(n, len(times))


class Posterior(nn.Module):
    """What the encoder makes of a curve is the flow's condition. To the flow, vectors are images of one pixel."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(len(times), 64), nn.ReLU(), nn.Linear(64, 8), nn.Unflatten(1, (8, 1, 1)))
        self.flow = FlowModule(inv.NetworkConditionalGlow(2, 8, 32, 1, 6, engine="numpy", seed=1))

    def log_prob(self, theta, curve):
        return self.flow.log_prob(theta[:, :, None, None], self.encoder(curve))

    @torch.no_grad()
    def sample(self, n, curve):
        return self.flow.sample((n,), self.encoder(curve)).flatten(2)  # (n, curves, 2)


model = Posterior()
optimiser = torch.optim.Adam(model.parameters(), 2e-3)
updates = 1200
schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, updates)
for update in range(updates):
    loss = -model.log_prob(*simulate(256)).mean()
    optimiser.zero_grad()
    loss.backward()  # recomputes the flow's states, which autograd has not kept
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimiser.step()
    schedule.step()
    if (update + 1) % 200 == 0:
        print(f"update {update + 1:4}: negative log-likelihood {loss.item():.3f}")

# Four posteriors: samples, the exact density's contours, and the truth.
theta, curve = simulate(4)
samples = model.sample(1000, curve)
axis = torch.linspace(-4, 4, 200)
grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), layout="constrained", sharex=True, sharey=True)
for i, ax in enumerate(axes):
    misfit = ((decay(grid) - curve[i]) ** 2).sum(-1) / noise**2
    density = torch.exp(-misfit / 2 - (grid**2).sum(-1) / 2)
    ax.scatter(*samples[:, i].T, s=4, alpha=0.3, color="tab:orange", linewidths=0)
    ax.contour(axis, axis, density / density.max(), levels=(0.05, 0.3, 0.8), colors="black", linewidths=0.8)
    ax.plot(*theta[i], "+", color="tab:blue", markersize=12, markeredgewidth=2)
    ax.set(xlabel="log amplitude", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect=1)
axes[0].set(ylabel="log rate")
figure.savefig("pytorch.png", dpi=90)
print("pytorch.png shows samples of four posteriors, the exact ones as contours, and what the curves were made from")
