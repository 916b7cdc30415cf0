"""The posterior of one observation of a linear Gaussian problem, without any training samples, beside the exact one.

A flow learns it by reverse KL. Of eight unknowns six numbers are measured, so that in two directions the posterior is
as wide as the prior, and in the others up to thirteen times narrower. In place of upstream's four steps of HINT there
are six of GLOW: with the same training those come to 0.4 nats from the exact posterior, these to 0.02.
non_amortized_linear_gaussian.png shows means, covariances and samples.

Run it with `python examples/non_amortized_linear_gaussian.py`. Source: non_amortized_hint_linear_Gaussian.jl in
examples/applications/conditional_sampling of InvertibleNetworks.jl.
"""

import matplotlib.pyplot as plt
import numpy as np

import pyinvnets as inv

rng = np.random.default_rng(19)
n, n_data = 8, 6
mean, deviation, noise = 3.14, 3.0, np.sqrt(0.1)
x_true = mean + deviation * rng.standard_normal(n)
A = rng.standard_normal((n_data, n)) / np.sqrt(n)
y = A @ x_true + noise * rng.standard_normal(n_data)

# The posterior and the evidence in closed form.
covariance_exact = np.linalg.inv(np.eye(n) / deviation**2 + A.T @ A / noise**2)
mean_exact = covariance_exact @ (A.T @ y / noise**2 + mean / deviation**2)
of_y = deviation**2 * A @ A.T + noise**2 * np.eye(n_data)
residual = y - A @ np.full(n, mean)
log_evidence = -0.5 * (residual @ np.linalg.solve(of_y, residual) + np.linalg.slogdet(2 * np.pi * of_y)[1])


def log_prior(X):
    R = (X.astype(np.float64) - mean) / deviation
    values = -0.5 * np.sum(R**2, axis=(0, 1, 2)) - n * np.log(deviation * np.sqrt(2 * np.pi))
    return values, -R / deviation


flow = inv.NetworkGlow(n, 32, 1, 6, seed=1)
# ActNorm takes its scales from this batch, so that the flow's first samples are like those of the prior.
around = mean + deviation * rng.standard_normal((n, 500))
flow.forward(np.asfortranarray(around[None, None], np.float32))

updates = 3000
found = inv.inverse_problems.posterior(
    A,
    y,
    noise,
    prior=log_prior,
    flow=flow,
    epochs=10,
    updates_per_epoch=updates // 10,
    batch_size=64,
    learning_rate=inv.CosineDecay(1e-2, updates),
    seed=1,
)
print(found.history)

X = found.sample(20_000, seed=2, batch_size=2000)
divergence = float(np.mean(found.log_prob(X, batch_size=2000) - found.log_density(X)[0]) + log_evidence)
samples = X[0, 0].astype(np.float64)
mean_found, covariance_found = samples.mean(axis=1), np.cov(samples)
mean_error = np.linalg.norm(mean_found - mean_exact) / np.linalg.norm(mean_exact)
covariance_error = np.linalg.norm(covariance_found - covariance_exact) / np.linalg.norm(covariance_exact)
print(f"Kullback-Leibler divergence from the exact posterior {divergence:.3f} nats")
print(f"mean off by {mean_error:.1%}, covariance by {covariance_error:.1%}")
print(f"log-evidence {found.log_evidence(seed=3):.3f}, exactly {log_evidence:.3f}")

fig, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained", width_ratios=(1.4, 1, 1, 1.4))
axes[0].errorbar(np.arange(n) - 0.1, mean_exact, np.sqrt(np.diag(covariance_exact)), fmt="k.", label="exact")
axes[0].errorbar(np.arange(n) + 0.1, mean_found, samples.std(axis=1), fmt=".", color="tab:orange", label="flow")
axes[0].plot(x_true, "r*", label="true x")
axes[0].set(xlabel="unknown", title="mean and deviation")
axes[0].legend()
largest = np.abs(covariance_exact).max()
for ax, matrix, title in zip(axes[1:3], (covariance_exact, covariance_found), ("exact", "flow's"), strict=True):
    shown = ax.imshow(matrix, vmin=-largest, vmax=largest, cmap="RdBu")
    ax.set_title(f"{title} covariance")
fig.colorbar(shown, ax=axes[2])
drawn = np.random.default_rng(4).multivariate_normal(mean_exact, covariance_exact, 100)
axes[3].plot(drawn.T, color="k", alpha=0.2, linewidth=0.8)
axes[3].plot(samples[:, :100], color="tab:orange", alpha=0.3, linewidth=0.8)
axes[3].set(xlabel="unknown", title="100 samples of each")
fig.savefig("non_amortized_linear_gaussian.png")
print("non_amortized_linear_gaussian.png shows means, covariances and samples")
