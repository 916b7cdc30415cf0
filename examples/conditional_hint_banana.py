"""Samples of X given an observation Y, by conditional HINT, which learns both together.

X is the banana distribution, and Y = A X + noise sees its second number badly. Y goes its way to the latent alone, so
to fix an observation is to fix its latent, and what noise in X's latent then becomes are samples of the posterior:
`sample_given`. They are compared with the exact posterior, and the density `log_prob_given` with the exact one.
conditional_hint_banana.png shows the posteriors of three observations.

Run it with `python examples/conditional_hint_banana.py`. Source: amortized_hint_banana_linear.jl in
examples/applications/conditional_sampling of InvertibleNetworks.jl; Kruse et al. (2021),
https://arxiv.org/abs/1905.10687.
"""

import matplotlib.pyplot as plt
import numpy as np

import pyinvnets as inv
from pyinvnets import plotting
from pyinvnets.cli.tutorial import energy_distance

rng = np.random.default_rng(1)
A, noise = np.array([[0.5, 0.0], [0.0, 0.05]], np.float32), 0.2


def observe(X):
    """Y = A X + noise, an image of one pixel and two channels for each sample."""
    Y = A @ X[0, 0] + noise * rng.standard_normal(X[0, 0].shape)
    return np.asfortranarray(Y[None, None], np.float32)


# The network: eight flow steps over both, with dense blocks; the objective is -log p(x, y).
X_train = inv.sample_banana(30_000, seed=1)
Y_train = observe(X_train)
n_in, n_hidden, depth = 2, 32, 8
H = inv.NetworkConditionalHINT(n_in, n_hidden, depth, k1=1, k2=1, p1=0, p2=0, seed=1)
history = inv.fit(H, X_train, Y_train, epochs=5, batch_size=200, learning_rate=3e-3, seed=1)
print(history)


# The exact posterior. The banana is made of two normal numbers by a map that keeps areas, and given Y all that is
# missing is a number p(y), the mean of the likelihood over X.
def log_normal(residual, sigma=1.0):
    """Log-density of independent normal numbers, added up over the first axis."""
    return np.sum(-((residual / sigma) ** 2) / 2 - np.log(sigma) - np.log(2 * np.pi) / 2, axis=0)


def log_likelihood(X, y):
    return log_normal(A @ X[0, 0] - y[0, 0], noise)


def log_prior(X):
    u, v = X[0, 0, 0], X[0, 0, 1] - 4 * (X[0, 0, 0] ** 2 + 1)
    return log_normal(np.stack((u, v)))


X_prior = inv.sample_banana(50_000, seed=3)


def exact_posterior(y, n):
    """Samples, drawn from those of the prior by their likelihood, and log p(y)."""
    likelihood = np.exp(log_likelihood(X_prior, y).astype(np.float64))
    chosen = rng.choice(likelihood.size, n, p=likelihood / likelihood.sum())
    return X_prior[..., chosen], np.log(likelihood.mean())


# How far the learned density of new pairs is from the exact one: the divergence of the posterior, mean over Y.
X_test = inv.sample_banana(300, seed=2)
Y_test = observe(X_test)
log_evidence = np.array([exact_posterior(Y_test[..., i : i + 1], 1)[1] for i in range(300)])
exact = log_prior(X_test) + np.array([log_likelihood(X_test[..., [i]], Y_test[..., [i]])[0] for i in range(300)])
exact -= log_evidence
log_ratio = H.log_prob_given(X_test, Y_test) - exact
divergence = np.mean(np.exp(log_ratio) - 1 - log_ratio)  # the mean of -log_ratio, with less noise
print(f"Kullback-Leibler divergence from the exact posterior {divergence:.3f} nats, the mean over observations")

fig, axes = plt.subplots(1, 3, figsize=(12, 4), sharey=True, layout="constrained")
distances, by_chance = [], []
for ax, first in zip(axes, (-1.0, 0.0, 1.5), strict=True):
    x_true = np.array([first, 4 * (first**2 + 1)], np.float32).reshape(1, 1, 2, 1)
    y = observe(x_true)
    X_exact, _ = exact_posterior(y, 1000)
    X_new = H.sample_given(1000, y, seed=4)
    distances.append(energy_distance(X_new, X_exact))
    by_chance.append(energy_distance(exact_posterior(y, 1000)[0], X_exact))
    for X, label, color in ((X_exact, "exact posterior", plotting.TARGET), (X_new, "learnt", plotting.GENERATED)):
        ax.scatter(X[0, 0, 0], X[0, 0, 1], s=6, alpha=0.4, color=color, linewidths=0, label=label)
    ax.plot(*x_true[0, 0], "*", color="tab:red", markersize=12, label="true $x$")
    ax.set(xlabel="$x_1$", xlim=(-3, 3), ylim=(0, 25), title=f"$y$ = ({y[0, 0, 0, 0]:.2f}, {y[0, 0, 1, 0]:.2f})")
axes[0].set_ylabel("$x_2$")
axes[0].legend()
fig.savefig("conditional_hint_banana.png")
print("energy distance to exact samples", ", ".join(f"{d:.4f}" for d in distances), end="; ")
print("of exact ones among each other", ", ".join(f"{d:.4f}" for d in by_chance))
print("conditional_hint_banana.png shows the posteriors of three observations")
