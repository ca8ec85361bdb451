from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from federated import model
from federated.model import Examples, Scaling, TrainingOptions


def rows(count: int = 600, features: int = 5) -> Examples:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(count, features))
    y = (rng.random(count) < 1 / (1 + np.exp(-(x @ np.arange(1.0, features + 1) / 3)))).astype(np.float64)
    return Examples(x, y)


def test_full_batch_descent_reaches_the_optimum_of_scikit_learn() -> None:
    examples = rows()
    trained = model.train(
        model.initial_weights(5),
        examples,
        TrainingOptions(epochs=4000, learning_rate=1.0, batch_size=0),
        np.random.default_rng(0),
    )
    known = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(examples.x, examples.y)
    np.testing.assert_allclose(trained["weights"], known.coef_[0], atol=1e-5)
    np.testing.assert_allclose(trained["bias"], known.intercept_, atol=1e-5)


def test_loss_equals_the_reference_also_for_certain_predictions() -> None:
    examples = rows()
    arrays = {"weights": np.arange(5.0), "bias": np.array([0.3])}
    assert model.log_loss(arrays, examples) == pytest.approx(
        log_loss(examples.y, model.probabilities(arrays, examples.x)), rel=1e-9
    )
    certain = {"weights": np.full(5, 1e6), "bias": np.zeros(1)}
    assert np.isfinite(model.log_loss(certain, examples))


def test_minibatches_depend_only_on_the_seed() -> None:
    examples, options = rows(), TrainingOptions(epochs=2, learning_rate=0.1, batch_size=32)
    one, two, other = (
        model.train(model.initial_weights(5), examples, options, np.random.default_rng(seed))["weights"]
        for seed in (5, 5, 6)
    )
    assert (one == two).all()
    assert not (one == other).all()


def test_the_proximal_term_keeps_weights_close_to_their_start() -> None:
    examples = rows()
    start = {"weights": np.full(5, 0.5), "bias": np.zeros(1)}
    distances = [
        np.linalg.norm(
            model.train(
                start,
                examples,
                TrainingOptions(epochs=200, learning_rate=0.1, batch_size=0, proximal_mu=mu),
                np.random.default_rng(0),
            )["weights"]
            - start["weights"]
        )
        for mu in (0.0, 0.1, 1.0)
    ]
    assert distances[0] > distances[1] > distances[2] > 0


def test_the_proximal_optimum_balances_both_gradients() -> None:
    examples, mu = rows(), 0.5
    start = {"weights": np.full(5, 0.5), "bias": np.array([0.2])}
    options = TrainingOptions(epochs=5000, learning_rate=0.3, batch_size=0, proximal_mu=mu)
    trained = model.train(start, examples, options, np.random.default_rng(0))
    error = model.probabilities(trained, examples.x) - examples.y
    gradient = examples.x.T @ error / len(examples) + mu * (trained["weights"] - start["weights"])
    np.testing.assert_allclose(gradient, 0.0, atol=1e-10)


@given(st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_moments_of_parts_give_the_scaling_of_all_rows(parts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(loc=[0.0, 1000.0, -5.0], scale=[1.0, 7.0, 0.01], size=(60, 3))
    x[rng.random(x.shape) < 0.2] = np.nan
    scaling = Scaling.from_moments([model.moments(part) for part in np.array_split(x, parts)])
    np.testing.assert_allclose(scaling.mean, np.nanmean(x, axis=0), rtol=1e-9)
    np.testing.assert_allclose(scaling.scale, np.nanstd(x, axis=0), rtol=1e-5)
    scaled = scaling.apply(x)
    assert np.isfinite(scaled).all()
    assert (scaled[np.isnan(x)] == 0).all()


@given(
    st.lists(st.tuples(st.floats(-1e15, 1e15), st.floats(1e-3, 1e6)), min_size=1, max_size=4),
    st.integers(2, 5),
    st.integers(0, 2**32 - 1),
)
def test_features_of_any_size_are_scaled(columns: list[tuple[float, float]], parts: int, seed: int) -> None:
    """Fault kind: a spread computed as the difference of two large numbers. Tests every ratio that floats represent."""
    columns = [(loc, scale) for loc, scale in columns if scale > 1e3 * np.spacing(abs(loc))] or [(1.7e9, 1.0)]
    loc, scale = np.array(columns).T
    x = np.random.default_rng(seed).normal(loc=loc, scale=scale, size=(200, len(columns)))
    scaling = Scaling.from_moments([model.moments(part) for part in np.array_split(x, parts)])
    centered = x - loc
    np.testing.assert_allclose(scaling.scale, centered.std(axis=0), rtol=1e-2)
    scaled = scaling.apply(x)
    np.testing.assert_allclose(scaled.std(axis=0), 1.0, rtol=1e-2)
    np.testing.assert_allclose(scaled.mean(axis=0), 0.0, atol=1e-2)


def test_constant_and_absent_features_become_zero() -> None:
    x = np.column_stack([np.full(50, 1234.5678), np.full(50, np.nan)])
    scaled = Scaling.from_moments([model.moments(x[:20]), model.moments(x[20:])]).apply(x)
    np.testing.assert_allclose(scaled, 0.0, atol=1e-9)


def test_auc_of_pooled_histograms_equals_the_exact_auc() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(20_000) < 0.3).astype(np.float64)
    scores = 1 / (1 + np.exp(-(rng.normal(size=len(y)) + y - 1)))
    pooled = sum(
        model.score_histogram(s, t) for s, t in zip(np.array_split(scores, 3), np.array_split(y, 3), strict=True)
    )
    assert pooled.sum() == len(y)
    assert model.auc(pooled) == pytest.approx(roc_auc_score(y, scores), abs=1e-5)


def test_auc_is_none_without_both_classes_and_a_half_for_ties() -> None:
    assert model.auc(model.score_histogram(np.array([0.1, 0.9]), np.array([1.0, 1.0]))) is None
    assert model.auc(model.score_histogram(np.full(10, 0.4), np.array([0.0, 1.0] * 5))) == 0.5
    assert model.auc(model.score_histogram(np.array([0.0, 1.0]), np.array([0.0, 1.0]))) == 1.0
