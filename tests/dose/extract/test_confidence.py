"""The confidence is calibrated, on data whose outcome probabilities are known."""

import numpy as np
import pytest

from dose.extract.confidence import (
    FEATURES,
    Calibration,
    fit,
    from_json,
    to_json,
)
from dose.extract.reliability import expected_calibration_error, reliability_curve


def _data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which two matter, and outcomes sampled from their probability."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 0.2, (n, len(FEATURES)))
    p = 1 / (1 + np.exp(-(8 * (x[:, 0] - 0.5) - 5 * (x[:, 3] - 0.5) + 0.4)))
    return x, (rng.uniform(size=n) < p).astype(float)


def test_fitted_probabilities_are_calibrated_on_new_data():
    model = fit(*_data(2000))
    x, y = _data(4000, seed=1)
    p = model(x)
    assert expected_calibration_error(p, y) < 0.03
    assert np.abs(model.weights[0]) > 5 * np.abs(model.weights[1])
    rows = reliability_curve(p, y)
    assert sum(row["count"] for row in rows) == len(y)
    assert all(abs(row["predicted"] - row["observed"]) < 0.15 for row in rows if row["count"] > 100)


def test_weight_two_equals_a_repeated_row():
    x, y = _data(80)
    weight = np.where(np.arange(80) < 30, 2.0, 1.0)
    twice = np.concatenate([np.arange(80), np.arange(30)])
    weighted, repeated = fit(x, y, weight=weight), fit(x[twice], y[twice])
    # Features are standardised by the rows as they are, so the probabilities are compared.
    assert weighted(x) == pytest.approx(repeated(x), abs=0.02)
    assert expected_calibration_error(weighted(x), y, weight) == pytest.approx(
        expected_calibration_error(weighted(x)[twice], y[twice])
    )


def test_newton_equals_gradient_descent():
    x, y = _data(150)
    model = fit(x, y)
    standard = (x - model.mean) / np.array(model.scale)
    targets = np.where(y > 0, (y.sum() + 1) / (y.sum() + 2), 1 / (len(y) - y.sum() + 2))
    weights, bias = np.zeros(x.shape[1]), 0.0
    for _ in range(20_000):
        error = 1 / (1 + np.exp(-(standard @ weights + bias))) - targets
        weights -= 0.01 * (standard.T @ error + weights)
        bias -= 0.01 * error.sum()
    assert model.weights == pytest.approx(weights, abs=1e-3)
    assert model.bias == pytest.approx(bias, abs=1e-3)


@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_one_sided_outcomes_do_not_give_certainty(outcome):
    x, _ = _data(30)
    p = fit(x, np.full(30, outcome))(x)
    assert np.isfinite(p).all()
    assert np.abs(p - outcome).max() < 0.1
    assert (p > 0).all()
    assert (p < 1).all()


def test_calibration_survives_json_and_other_features_are_ignored():
    model = fit(*_data(100))
    calibration = Calibration(detected=model, correct=model)
    stored = {"kick": to_json(calibration)}
    assert from_json(stored) == {"kick": calibration}
    stored["kick"]["features"] = ["something", "else"]
    assert from_json(stored) == {}


def test_expected_calibration_error_by_hand():
    p, y = np.array([0.05, 0.05, 0.95, 0.95]), np.array([0, 1, 1, 1])
    assert expected_calibration_error(p, y) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
