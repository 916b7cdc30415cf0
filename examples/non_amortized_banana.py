"""The posterior of one noisy observation of the banana distribution, without any training samples.

A flow learns it by reverse KL from the gradients of the log-density alone, which PyTorch or JAX would give too
(`inv.from_torch`, `inv.from_jax`). In two dimensions the exact density is known from sums over a grid, and so is how
far the flow is from it. non_amortized_banana.png shows prior, posterior and observation.

Run it with `python examples/non_amortized_banana.py`. Source: non_amortized_hint_rosenbrock_banana.jl in
examples/applications/conditional_sampling of InvertibleNetworks.jl.
"""

import matplotlib.pyplot as plt
import numpy as np

import pyinvnets as inv

rng = np.random.default_rng(11)
noise = 0.2
x_true = inv.sample_banana(1, seed=5)
y = x_true[0, 0, :, 0] + noise * rng.standard_normal(2)


def log_prior(X):
    """The banana, of two normal numbers u and v: x1 = u and x2 = v + 4 (u^2 + 1)."""
    u, v = X[:, :, 0], X[:, :, 1] - 4 * (X[:, :, 0] ** 2 + 1)
    values = -0.5 * np.sum(u**2 + v**2, axis=(0, 1), dtype=np.float64) - np.log(2 * np.pi)
    return values, np.stack([8 * u * v - u, -v], axis=2)


# Four flow steps of ActNorm and HINT; upstream has 32.
n_hidden, depth, updates = 32, 4, 600
layers = []
for j in range(depth):
    layers.append(inv.CouplingLayerHINT(2, n_hidden, logdet=True, permute="lower", k1=1, k2=1, p1=0, p2=0, seed=j))
    layers.append(inv.ActNorm(2, logdet=True))
flow = inv.Sequential(*layers)
# ActNorm takes its scales from this batch, so that the flow's first samples are around the observation.
around = y[:, None] + noise * rng.standard_normal((2, 500))
flow.forward(np.asfortranarray(around[None, None], np.float32))

found = inv.inverse_problems.posterior(
    np.eye(2),
    y,
    noise,
    prior=log_prior,
    flow=flow,
    epochs=10,
    updates_per_epoch=updates // 10,
    batch_size=64,
    learning_rate=inv.CosineDecay(5e-3, updates),
    seed=1,
)
print(found.history)

# The exact density, from the sum over a grid around the observation.
edge = np.linspace(-8 * noise, 8 * noise, 401)
grid = np.stack(np.meshgrid(y[0] + edge, y[1] + edge, indexing="ij"))[None].reshape(1, 1, 2, -1)
log_joint = found.log_density(grid)[0]
log_evidence = np.logaddexp.reduce(log_joint) + 2 * np.log(edge[1] - edge[0])
X = found.sample(20_000, seed=2, batch_size=2000)
divergence = float(np.mean(found.log_prob(X, batch_size=2000) - found.log_density(X)[0]) + log_evidence)
print(f"Kullback-Leibler divergence from the exact posterior {divergence:.3f} nats")
print(f"log-evidence {found.log_evidence(seed=3):.3f}, exactly {log_evidence:.3f}")

fig, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
X_prior = inv.sample_banana(500, seed=4)
axes[0].scatter(*X_prior[0, 0], s=12, alpha=0.5, color="tab:gray", linewidths=0, label="prior")
axes[0].set(xlim=(-3, 3), ylim=(0, 25))
density = np.exp(log_joint - log_evidence).reshape(401, 401).T
axes[1].contour(y[0] + edge, y[1] + edge, density, levels=6, colors="k", linewidths=0.8)
axes[1].set(xlim=(y[0] - 4 * noise, y[0] + 4 * noise), ylim=(y[1] - 4 * noise, y[1] + 4 * noise))
for ax in axes:
    ax.scatter(*X[0, 0, :, :500], s=12, alpha=0.5, color="tab:orange", linewidths=0, label="samples of the posterior")
    ax.plot(*y, "b*", markersize=12, label="observation")
    ax.plot(*x_true[0, 0, :, 0], "r*", markersize=12, label="true x")
    ax.set(xlabel="$x_1$", ylabel="$x_2$")
axes[0].legend()
axes[0].set(title="Posterior and prior")
axes[1].set(title="Beside the exact density")
fig.savefig("non_amortized_banana.png")
print("non_amortized_banana.png shows prior, posterior and observation")
