"""Held-out log-likelihoods of `FlowDensity` beside scikit-learn's densities, in one table.

    pip install '.[sklearn]' && python benchmarks/density.py

All are fitted to the same standardised training part of each data set and scored on the same test part, in nats a
sample of the data as given. Nothing is chosen on the test part: the flow has its defaults for all data sets, the kernel
density its bandwidth by cross-validation, the Gaussian mixture its number of components by BIC. Each figure is the mean
over seeds, which draw data and splits anew, and its standard error. The flow's defaults were found on other draws of
the moons and the banana and on other splits of the same digits; the breast cancer data had no part in that. That
splines are whitened was found on other draws of the moons and on other splits of the breast cancer data.

Of the digits, 64 pixels of 0 to 16, each pixel has uniform noise in [0, 1) added, since they are whole numbers; «10
components» are the principal ones of that, found on the training part.
"""

from __future__ import annotations

import argparse

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, make_moons
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KernelDensity
from sklearn.preprocessing import StandardScaler
from tqdm import tqdm

import pyinvnets as inv
from pyinvnets.sklearn import FlowDensity

N_TEST = 5000
FIRST_SEED = 100


def moons(seed, n):
    X, _ = make_moons(n + N_TEST, noise=0.1, random_state=seed)
    return X[:n], X[n:]


def banana(seed, n):
    X = inv.sample_banana(n + N_TEST, seed=seed, engine="numpy").T.reshape(-1, 2).astype(float)
    return X[:n], X[n:]


def digits(seed):
    X = load_digits().data
    X = X + np.random.default_rng(seed).uniform(size=X.shape)
    return train_test_split(X, test_size=1 / 3, random_state=seed)


def digits_components(seed):
    train, test = digits(seed)
    pca = PCA(10, random_state=seed).fit(train)
    return pca.transform(train), pca.transform(test)


def breast_cancer(seed):
    return train_test_split(load_breast_cancer().data, test_size=1 / 3, random_state=seed)


DATA = {
    "two moons, 500 samples": lambda seed: moons(seed, 500),
    "two moons, 2000 samples": lambda seed: moons(seed, 2000),
    "banana, 1000 samples": lambda seed: banana(seed, 1000),
    "digits, 10 components": digits_components,
    "digits, 64 pixels": digits,
    "breast cancer, 30 features": breast_cancer,
}


def kernel_density(X, seed):
    """The mean log-density, as a function, with the bandwidth that five folds choose."""
    search = GridSearchCV(KernelDensity(), {"bandwidth": np.geomspace(0.05, 1, 16)}, cv=5).fit(X)
    return lambda test: search.score(test) / len(test)


def gaussian_mixture(X, seed):
    """Likewise, with the number of components that BIC chooses."""
    mixtures = [GaussianMixture(n, random_state=seed, n_init=2).fit(X) for n in (1, 2, 4, 8, 12, 16, 24, 32)]
    return min(mixtures, key=lambda mixture: mixture.bic(X)).score


def flow(X, seed):
    return FlowDensity(random_state=seed).fit(X).score


def spline_flow(X, seed):
    return FlowDensity(coupling="spline", whiten=True, random_state=seed).fit(X).score


MODELS = {
    "FlowDensity": flow,
    "spline, whitened": spline_flow,
    "KernelDensity": kernel_density,
    "GaussianMixture": gaussian_mixture,
}


def scores(data, seed):
    """Of each model, the mean log-density of the test part of the data as given."""
    train, test = data(seed)
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    return [model(train, seed)(test) - np.log(scaler.scale_).sum() for model in MODELS.values()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many (default 5)")
    n_seeds = parser.parse_args().seeds
    print(f"{'':26}" + "".join(f"{name:>20}" for name in MODELS))
    with tqdm(total=len(DATA) * n_seeds, unit="split") as bar:
        for name, data in DATA.items():
            results = []
            for seed in range(FIRST_SEED, FIRST_SEED + n_seeds):
                results.append(scores(data, seed))
                bar.update()
            means, errors = np.mean(results, axis=0), np.std(results, axis=0, ddof=1) / np.sqrt(n_seeds)
            cells = (f"{mean:.3f} ± {error:.3f}" for mean, error in zip(means, errors, strict=True))
            bar.write(f"{name:26}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
