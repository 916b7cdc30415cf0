"""Flows as scikit-learn estimators: a density, and a regressor that knows its uncertainty.

    from pyinvnets.sklearn import FlowDensity, FlowRegressor

They need scikit-learn: `pip install 'pyinvnets[sklearn]'`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .arrays.scalars import as_python, is_real
from .networks.base import arguments as check
from .networks.base.initialisation import take_condition_as_given
from .training.schedules import CosineDecay
from .vectors import VectorFlow
from .vectors.bounds import Bounds
from .vectors.couplings import check_coupling

try:
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        DensityMixin,
        RegressorMixin,
        TransformerMixin,
    )
    from sklearn.covariance import LedoitWolf
    from sklearn.preprocessing import StandardScaler
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise ImportError("pyinvnets.sklearn needs scikit-learn 1.6; write pip install 'pyinvnets[sklearn]'") from None

_DTYPES = [np.float64, np.float32]

_CLIP = 5.0
"""The largest norm of the gradient: else a rare row far away undoes many updates."""

_DRAWS = 200
"""How many samples a prediction is the mean of."""

_BATCH = 100_000
"""How many go through a flow at once, which bounds memory."""


class _FlowEstimator(BaseEstimator):
    """What both estimators share: the flow's hyperparameters, and its training on standardised data."""

    def __init__(
        self,
        *,
        coupling: str = "affine",
        n_hidden: int = 32,
        K: int = 8,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 5e-3,
        noise: float | str = "auto",
        validation: float = 0.1,
        patience: int | None = None,
        engine: str | None = "numpy",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.coupling = coupling
        self.n_hidden = n_hidden
        self.K = K
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.noise = noise
        self.validation = validation
        self.patience = patience
        self.engine = engine
        self.random_state = random_state
        self.verbose = verbose

    def _train(self, X: np.ndarray, condition: np.ndarray | None, rng: np.random.RandomState) -> None:
        """Make `flow_` and fit it to standardised rows; sets `history_`."""
        title = type(self).__name__
        # A search over parameters gives NumPy's numbers.
        n_hidden, K, epochs, batch_size = map(as_python, (self.n_hidden, self.K, self.epochs, self.batch_size))
        check.counts(title, n_hidden=n_hidden, K=K, epochs=epochs, batch_size=batch_size)
        check_coupling(title, self.coupling)
        held_out = _held_out(title, len(X), self.validation)
        noise: Any = self.noise
        if noise != "auto" and not (is_real(noise) and math.isfinite(noise) and noise >= 0):
            raise ValueError(f'{title}: noise must be "auto" or a finite number, zero or more, got {noise!r}')
        n_cond = 0 if condition is None else condition.shape[1]
        seed = _seed(rng)
        sizes = {"n_cond": n_cond, "n_hidden": n_hidden, "K": K}
        flow = VectorFlow(X.shape[1], **sizes, coupling=self.coupling, engine=self.engine, seed=seed)
        flow.network.astype(X.dtype)
        if n_cond:
            # A standardised condition needs no ActNorm, and a feature that never varies would have none.
            take_condition_as_given(flow.network)
        if X.shape[1] > 1:
            # ActNorm is set from all of the data: a small batch may not vary in every feature.
            flow.forward(X, condition)
        updates = epochs * -(-(len(X) - held_out) // batch_size)
        self.history_ = flow.fit(
            X,
            condition,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=CosineDecay(self.learning_rate, updates),
            noise=_noise(X, n_cond) if noise == "auto" else noise,
            clip_norm=_CLIP,
            validation=self.validation,
            patience=self.patience,
            seed=seed,
            progress=self.verbose,
        )
        self.flow_ = flow

    def _checked(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=self.flow_.network.dtype)


def _held_out(title: str, n: int, validation: float) -> int:
    """How many of `n` rows are held out."""
    if not (is_real(validation) and 0 <= validation < 1):
        raise ValueError(f"{title}: validation must be a number from 0 to below 1, got {validation!r}")
    count = max(1, round(n * validation)) if validation else 0
    if count >= n:
        raise ValueError(f"{title}: validation={validation} of {n} rows leaves none to train on; write validation=0")
    return count


def _noise(X: np.ndarray, n_cond: int) -> float:
    """Half the square of Scott's bandwidth, times the size of a standard deviation of the data: of the ball that has
    the volume of their covariance's ellipsoid. Features that nearly determine each other make that thin."""
    n_samples, n_features = X.shape
    _, log_volume = np.linalg.slogdet(np.cov(X.T) + np.eye(n_features) / n_samples)
    return n_samples ** (-2 / (n_features + n_cond + 4)) / 2 * math.exp(log_volume / (2 * n_features))


def _whitening(X: np.ndarray) -> np.ndarray:
    """What makes the shrunk covariance of standardised rows the identity."""
    values, vectors = np.linalg.eigh(LedoitWolf(assume_centered=True).fit(X).covariance_)
    return (vectors / np.sqrt(values)).astype(X.dtype)


def _seed(rng: np.random.RandomState) -> int:
    return int(rng.randint(2**31 - 1))


class FlowDensity(ClassNamePrefixFeaturesOutMixin, TransformerMixin, DensityMixin, _FlowEstimator):
    """The density of data, learnt by a normalising flow: GLOW, or a neural spline flow.

    Features are standardised inside; densities are those of the data as it is given. `transform` gives latents,
    which are standard Gaussian where the density fits; a single feature has none of its own, see `VectorFlow`.

    Args:
        bounds: of features that have any, such as `(0, 1)` for all, or `[(0, None), None]`, the first positive and the
            second free: `None` or a pair for each feature. Samples lie within them, and the density is zero outside.
        whiten: whether features are decorrelated too, by the shrunk covariance of Ledoit and Wolf (2004), so that
            training begins near the best Gaussian. It helps where features nearly determine each other.
        coupling: of the flow, `"affine"`, or `"spline"` for a neural spline flow, which fits several modes and sharp
            edges better.
        n_hidden: number of hidden features of the residual blocks.
        K: number of flow steps.
        epochs: how many times to go through the data. The weights with the best validation objective are kept.
        batch_size: rows of a batch.
        learning_rate: of Adam at the start; it falls along half a cosine.
        noise: standard deviation of the Gaussian noise that is added to the standardised data in training. It
            smooths the density, as a kernel's bandwidth does. `"auto"` is half the square of Scott's bandwidth,
            `n_samples**(-2 / (n_features + 4)) / 2`, more for few data and many features, times
            `det(correlations)**(1 / (2 * n_features))`, less where features nearly determine each other.
        validation: the part of the data that is held out to choose the weights; 0 for none.
        patience: stop after so many epochs without a better validation objective.
        engine: `"numpy"`, `"julia"` or `"auto"`. NumPy's starts at once, also in the processes of joblib.
        random_state: of the weights, the split, the order and the noise.
        verbose: whether to show a line for each epoch, and a bar where one can be drawn.

    Attributes:
        flow_: the `VectorFlow`, over standardised data.
        scaler_: the `StandardScaler`.
        whitening_: what standardised rows are multiplied by, shape `(n_features, n_features)`; the identity without
            `whiten`.
        history_: the `History` of the training.
        n_features_in_, feature_names_in_: as scikit-learn has them.

    Source: Rothfuss et al. (2019), «Noise Regularization for ConditionalFlow Density Estimation»,
    https://arxiv.org/abs/1907.08982, for the noise; Ledoit and Wolf (2004), «A well-conditioned estimator for
    large-dimensional covariance matrices», https://doi.org/10.1016/S0047-259X(03)00096-4, for whitening.

    >>> from sklearn.datasets import make_moons
    >>> X, _ = make_moons(200, noise=0.1, random_state=0)
    >>> density = FlowDensity(epochs=5, random_state=0).fit(X)
    >>> density.score_samples(X).shape, density.sample(3, random_state=1).shape
    ((200,), (3, 2))
    """

    def __init__(
        self,
        *,
        bounds: Any = None,
        whiten: bool = False,
        coupling: str = "affine",
        n_hidden: int = 32,
        K: int = 8,
        epochs: int = 200,
        batch_size: int = 64,
        learning_rate: float = 5e-3,
        noise: float | str = "auto",
        validation: float = 0.1,
        patience: int | None = None,
        engine: str | None = "numpy",
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            coupling=coupling,
            n_hidden=n_hidden,
            K=K,
            epochs=epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            noise=noise,
            validation=validation,
            patience=patience,
            engine=engine,
            random_state=random_state,
            verbose=verbose,
        )
        self.bounds, self.whiten = bounds, whiten

    def fit(self, X: Any, y: None = None) -> FlowDensity:
        """Learn the density of rows.

        Args:
            X: data, shape `(n_samples, n_features)`, two samples or more. float32 stays so, all else is float64.
            y: ignored.

        Returns:
            The estimator.

        Raises:
            ValueError: unfit data or parameters, a feature that never varies, data outside of the bounds.
        """
        X = validate_data(self, X, dtype=_DTYPES, ensure_min_samples=2)
        _check_varies(X)
        rng = check_random_state(self.random_state)
        bounds = Bounds("FlowDensity", self.bounds, X.shape[1])
        bounds.check("FlowDensity", X)
        check.flags("FlowDensity", whiten=self.whiten)
        self._bounds = bounds
        X = bounds.free(X)[0].astype(X.dtype)
        self.scaler_ = StandardScaler().fit(X)
        self.whitening_ = np.eye(X.shape[1], dtype=X.dtype)
        if self.whiten:
            self.whitening_ = _whitening(_standardised(self.scaler_, X))
        self._train(self._inside(X), None, rng)
        return self

    def _inside(self, X: np.ndarray) -> np.ndarray:
        """Rows on the line as the flow has them."""
        return _standardised(self.scaler_, X) @ self.whitening_

    def _outside(self, X: np.ndarray) -> np.ndarray:
        """The inverse of `_inside`, within the bounds."""
        rows = np.linalg.solve(self.whitening_.T, X.T).T
        return self._bounds.bounded(self.scaler_.inverse_transform(rows))

    def score_samples(self, X: Any) -> np.ndarray:
        """Log-density of each row, in nats, shape `(n_samples,)`."""
        X = self._checked(X)
        held = self._bounds.hold(X)
        # Rows outside of the bounds are not on the line; any that is there stands for them.
        U, logdet = self._bounds.free(np.where(held[:, None], X, self._bounds.bounded(np.zeros_like(X[:1]))))
        logdet = logdet + np.linalg.slogdet(self.whitening_)[1] - np.log(self.scaler_.scale_).sum()
        log_prob = self.flow_.log_prob(self._inside(U.astype(X.dtype)), batch_size=_BATCH) + logdet
        return np.where(held, log_prob, -np.inf).astype(X.dtype)

    def score(self, X: Any, y: None = None) -> float:
        """The mean of `score_samples`: what cross-validation and grid search compare."""
        return float(self.score_samples(X).mean())

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """New rows, shape `(n_samples, n_features)`."""
        check_is_fitted(self)
        seed = _seed(check_random_state(random_state))
        X = self.flow_.sample(n_samples, seed=seed, batch_size=_BATCH)
        return self._outside(X)

    def transform(self, X: Any) -> np.ndarray:
        """Latents of rows, of X's shape."""
        X = self._checked(X)
        self._bounds.check("FlowDensity.transform", X)
        return self.flow_.forward(self._inside(self._bounds.free(X)[0].astype(X.dtype)))[0]

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Rows of latents."""
        check_is_fitted(self)
        Z = check_array(X, dtype=self.flow_.network.dtype)
        return self._outside(self.flow_.inverse(Z))

    @property
    def _n_features_out(self) -> int:
        return self.n_features_in_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class FlowRegressor(RegressorMixin, _FlowEstimator):
    """A regressor that learns the whole density of `y` given `X` by a conditional flow, with one output or more.

    Both are standardised inside. A flow needs two features: of a single output, the second one is independent
    standard Gaussian noise in training, and is left out of samples, which is to integrate over it.

    Args:
        coupling, n_hidden, K, epochs, batch_size, learning_rate, validation, patience, engine, random_state, verbose:
            as for `FlowDensity`.
        noise: standard deviation of the Gaussian noise that is added to the standardised outputs in training; for
            `"auto"` features and outputs count together.

    Attributes:
        flow_: the `VectorFlow` of the standardised outputs, given the standardised `X`.
        scaler_, y_scaler_: the `StandardScaler` of each.
        history_: the `History` of the training.
        n_features_in_, feature_names_in_: as scikit-learn has them.

    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, (200, 1))
    >>> y = X[:, 0] ** 2 + rng.standard_normal(200) * 0.1
    >>> regressor = FlowRegressor(epochs=5, random_state=0).fit(X, y)
    >>> regressor.predict(X[:3]).shape, regressor.predict_std(X[:3]).shape, regressor.sample(X[:3], 10).shape
    ((3,), (3,), (3, 10))
    """

    def fit(self, X: Any, y: Any) -> FlowRegressor:
        """Learn the density of `y` given `X`.

        Args:
            X: shape `(n_samples, n_features)`, two samples or more. float32 stays so, all else is float64.
            y: shape `(n_samples,)` or `(n_samples, n_outputs)`.

        Returns:
            The estimator.

        Raises:
            ValueError: unfit data or parameters, an output that never varies.
        """
        X, y = validate_data(self, X, y, dtype=_DTYPES, multi_output=True, y_numeric=True, ensure_min_samples=2)
        rng = check_random_state(self.random_state)
        y = np.asarray(y, X.dtype)
        self._single = y.ndim == 1
        outputs = y.reshape(len(y), -1)
        _check_varies(outputs, "output")
        self.scaler_, self.y_scaler_ = StandardScaler().fit(X), StandardScaler().fit(outputs)
        outputs = _standardised(self.y_scaler_, outputs)
        if outputs.shape[1] == 1:
            outputs = np.hstack([outputs, rng.standard_normal(outputs.shape).astype(X.dtype)])
        latents = rng.standard_normal((_DRAWS, outputs.shape[1]))
        # Mean and variance are made exact, so that those of a Gaussian `y` are.
        self._latents = StandardScaler().fit_transform(latents).astype(X.dtype)[None]
        self._train(outputs, _standardised(self.scaler_, X), rng)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The mean of `y` given each row, over 200 samples from latents that all rows share; of y's shape."""
        return self._over_draws(np.mean, X)

    def predict_std(self, X: Any) -> np.ndarray:
        """The standard deviation of `y` given each row, likewise."""
        return self._over_draws(np.std, X)

    def sample(self, X: Any, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """Samples of `y` given each row.

        Returns:
            Shape `(n_rows, n_samples)`, or `(n_rows, n_outputs, n_samples)` where `y` had two axes.
        """
        X = self._checked(X)
        shape = (len(X), n_samples, self._latents.shape[-1])
        latents = check_random_state(random_state).standard_normal(shape).astype(X.dtype)
        samples = np.concatenate(list(self._drawn(X, latents)))
        return samples[..., 0] if self._single else samples.transpose(0, 2, 1)

    def log_prob(self, X: Any, y: Any) -> np.ndarray:
        """Log-density of each `y` given its row, in nats, shape `(n_samples,)`; of a single output, the integral over
        the other is a sum over a grid."""
        check_is_fitted(self)
        X, y = validate_data(self, X, y, reset=False, dtype=self.flow_.network.dtype, multi_output=True)
        condition = _standardised(self.scaler_, X)
        outputs = _standardised(self.y_scaler_, y.reshape(len(y), -1).astype(X.dtype))
        if outputs.shape[1] == self._latents.shape[-1]:
            result = self.flow_.log_prob(outputs, condition, batch_size=_BATCH)
        else:
            grid, step = np.linspace(-6, 6, 121, dtype=X.dtype, retstep=True)
            result = np.full(len(y), -np.inf)
            for value in grid:
                pairs = np.column_stack([outputs, np.full(len(y), value)])
                np.logaddexp(result, self.flow_.log_prob(pairs, condition, batch_size=_BATCH), out=result)
            result += np.log(step)
        return result - np.log(self.y_scaler_.scale_).sum()

    def _over_draws(self, statistic: Callable[..., np.ndarray], X: Any) -> np.ndarray:
        result = np.concatenate([statistic(part, axis=1) for part in self._drawn(self._checked(X), self._latents)])
        return result[:, 0] if self._single else result

    def _drawn(self, X: np.ndarray, latents: np.ndarray) -> Iterator[np.ndarray]:
        """Outputs, shape `(n_rows, n_draws, n_outputs)`, some rows at a time.

        Args:
            latents: shape `(n_rows, n_draws, n_latents)`, or one for all rows.
        """
        condition = _standardised(self.scaler_, X)
        _, draws, features = latents.shape
        latents = np.broadcast_to(latents, (len(X), draws, features))
        rows = max(1, _BATCH // draws)
        for first in range(0, len(X), rows):
            some = condition[first : first + rows]
            Z = latents[first : first + rows].reshape(-1, features)
            outputs = self.flow_.inverse(Z, np.repeat(some, draws, axis=0))[:, : self.y_scaler_.n_features_in_]
            yield self.y_scaler_.inverse_transform(outputs).reshape(len(some), draws, -1)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _standardised(scaler: StandardScaler, X: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(scaler.transform(X))


def _check_varies(X: np.ndarray, name: str = "feature") -> None:
    constant = np.flatnonzero(np.ptp(X, axis=0) == 0)
    if len(constant):
        raise ValueError(
            f"{name}(s) {', '.join(map(str, constant))} never vary, and so have no density; leave them out"
        )
