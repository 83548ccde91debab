"""The confidence is calibrated, on data whose outcome probabilities are known."""

import numpy as np
import pytest

from dose.extract.confidence import (
    FEATURES,
    IS_SEGMENT_FEATURE,
    Calibration,
    candidate_features,
    fit,
    from_json,
    segment_features,
    to_json,
)
from dose.extract.reliability import expected_calibration_error, reliability_curve
from dose.extract.rerank import RerankScores
from dose.extract.segments import Segment


def _data(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Features of which two matter, and outcomes sampled from their probability."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0.5, 0.2, (n, len(FEATURES)))
    p = 1 / (1 + np.exp(-(8 * (x[:, 0] - 0.5) - 5 * (x[:, 3] - 0.5) + 0.4)))
    return x, (rng.uniform(size=n) < p).astype(float)


def _segment(likelihood: tuple[float, ...], onset_snr: tuple[float, ...]) -> Segment:
    onsets = tuple(range(len(likelihood)))
    return Segment(
        audio=np.zeros((1, 8), np.float32),
        start=0,
        onsets=onsets,
        likelihood=(0.1,) * len(onsets),
        onset_snr=onset_snr,
        probabilities=likelihood,
    )


def _scores_of_none() -> RerankScores:
    return RerankScores(conditioning_fit=np.zeros(0), self_consistency=np.zeros(0), cost=np.zeros(0))


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
    del stored["kick"]["features"]
    assert from_json(stored) == {}


def test_features_stand_in_their_columns():
    segments = [_segment((0.9, 0.4), (0.5, 0.1)), _segment((0.6,), (0.3,)), _segment((), ())]
    scores = RerankScores(
        conditioning_fit=np.array([0.2, 0.8]), self_consistency=np.array([0.5, 0.7]), cost=np.zeros(2)
    )
    rows = candidate_features(scores, [0.1, 0.4], segments)
    named = [dict(zip(FEATURES, row, strict=True)) for row in rows]
    shared = {
        "max_conditioning_fit": 0.8,
        "mean_self_consistency": 0.6,
        "mean_likelihood": (0.9 + 0.4 + 0.6) / 3,
        "max_likelihood": 0.9,
        "onset_snr": 0.3,
        "certain_onsets": np.log(3),  # two of them reach the threshold of a hit
    }
    assert named[0] == pytest.approx(
        {"conditioning_fit": 0.2, "self_consistency": 0.5, "explained": 0.1, **shared}
    )
    assert named[1] == pytest.approx(
        {"conditioning_fit": 0.8, "self_consistency": 0.7, "explained": 0.4, **shared}
    )


def test_features_before_generation_are_those_of_the_segments_alone():
    segments = [_segment((0.9, 0.4), (0.5, 0.1))]
    scores = RerankScores(
        conditioning_fit=np.array([0.2]), self_consistency=np.array([0.5]), cost=np.zeros(1)
    )
    alone = segment_features(segments)
    assert (alone[~IS_SEGMENT_FEATURE] == 0).all()
    assert (
        alone * IS_SEGMENT_FEATURE == candidate_features(scores, [1.0], segments)[0] * IS_SEGMENT_FEATURE
    ).all()
    assert (segment_features([_segment((), ())]) == 0).all()
    assert candidate_features(_scores_of_none(), [], segments).shape == (0, len(FEATURES))


def test_expected_calibration_error_by_hand():
    p, y = np.array([0.05, 0.05, 0.95, 0.95]), np.array([0, 1, 1, 1])
    assert expected_calibration_error(p, y) == pytest.approx(0.5 * 0.45 + 0.5 * 0.05)
