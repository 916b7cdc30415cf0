"""Flows in scikit-learn: the density of two moons, and a regression that knows its uncertainty.

Run it with `python examples/scikit_learn.py`; it needs `pip install 'pyinvnets[sklearn]'`.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.model_selection import GridSearchCV, cross_val_score

from pyinvnets.plotting import GENERATED, TARGET
from pyinvnets.sklearn import FlowDensity, FlowRegressor

X, _ = make_moons(1000, noise=0.1, random_state=0)

# A density. Its score is the mean log-likelihood, so that it can be cross-validated, in a pipeline or a search.
print("held-out log-likelihoods:", cross_val_score(FlowDensity(epochs=50, random_state=0), X, cv=3))
search = GridSearchCV(FlowDensity(epochs=20, random_state=0), {"noise": [0.02, 0.5]}, cv=2).fit(X)
print("less noise or more in training:", search.best_params_)
density = FlowDensity(random_state=0).fit(X)

# A regression: a wave with noise that grows with x.
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, 500)
y = np.sin(3 * x) + (0.05 + 0.2 * (x + 1)) * rng.standard_normal(500)
regressor = FlowRegressor(random_state=0).fit(x[:, None], y)
line = np.linspace(-1, 1, 200)
mean, std = regressor.predict(line[:, None]), regressor.predict_std(line[:, None])

fig, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
grid = np.stack(np.meshgrid(np.linspace(-1.6, 2.6, 200), np.linspace(-1.1, 1.6, 200)), axis=-1)
log_density = density.score_samples(grid.reshape(-1, 2)).reshape(200, 200)
left.contourf(*grid.T, np.exp(log_density).T, levels=20, cmap="Oranges")
left.scatter(*X.T, s=2, color=TARGET)
left.set(title="Samples and learnt density", xlabel="$x_1$", ylabel="$x_2$")
middle.scatter(*density.sample(1000, random_state=1).T, s=2, color=GENERATED)
middle.set(title="New samples", xlabel="$x_1$", ylabel="$x_2$", xlim=left.get_xlim(), ylim=left.get_ylim())
right.scatter(x, y, s=3, color=TARGET)
right.plot(line, mean, color=GENERATED)
right.fill_between(line, mean - 2 * std, mean + 2 * std, color=GENERATED, alpha=0.3, linewidth=0, label="mean ± 2 std")
right.set(title="Regression", xlabel="$x$", ylabel="$y$")
right.legend()
fig.savefig("scikit_learn.png")
print("scikit_learn.png shows the density and the regression")
