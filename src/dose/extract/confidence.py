"""Calibrated confidence: two probabilities per drum from a handful of features.

One logistic regression predicts whether the drum is in the mix, one whether a candidate is correct given that
it is; their product is the confidence (Platt, 1999, with more than one feature). Both are fitted on held-out
mixes by `dose.extract.calibrate` and stored as plain numbers in bundle.json under `calibration`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dose.extract.rerank import RerankScores
from dose.extract.segments import Segment
from dose.transcription.decode import THRESHOLD

# Features of the drum as a whole, from its segments alone: detection must not depend on what was generated.
SEGMENT_FEATURES = ("mean_likelihood", "max_likelihood", "onset_snr", "certain_onsets")
FEATURES = (
    "conditioning_fit",  # of the candidate
    "self_consistency",  # of the candidate
    "explained",  # share of the onsets' energy that the candidate covers: see `resynthesis`
    "max_conditioning_fit",  # over all samples of the drum
    "mean_self_consistency",  # over all samples of the drum
    *SEGMENT_FEATURES,
)
IS_SEGMENT_FEATURE = np.array([name in SEGMENT_FEATURES for name in FEATURES])
MAX_DEVIATION = 4.0  # standard deviations: features are clipped there, beyond the data they were fitted to


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + sum of weight x (feature - mean) / scale))).

    Standardised features are clipped to +-MAX_DEVIATION: the regression does not extrapolate.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, F] to probabilities [n]."""
        standard = (features - np.array(self.mean)) / np.array(self.scale)
        standard = np.clip(standard, -MAX_DEVIATION, MAX_DEVIATION)
        return _sigmoid(standard @ np.array(self.weights) + self.bias)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """One drum's two regressions."""

    detected: Logistic  # the drum is in the mix
    correct: Logistic  # the candidate is correct, given that the drum is in the mix

    def confidence(self, features: np.ndarray) -> np.ndarray:
        """[n, F] to the probability that the drum is in the mix and the candidate is correct, [n]."""
        probability: np.ndarray = self.detected(features) * self.correct(features)
        return probability


def candidate_features(
    scores: RerankScores, explained: Sequence[float], segments: Sequence[Segment]
) -> np.ndarray:
    """Features of n candidates of one drum, [n, F], with `resynthesis.explained` of each."""
    n = len(scores.conditioning_fit)
    # Shared by all candidates of the drum: pooled scores, then the segments' features.
    pooled = [
        float(scores.conditioning_fit.max(initial=0.0)),
        float(scores.self_consistency.mean()) if n else 0.0,
    ]
    shared = np.concatenate([pooled, segment_features(segments)[IS_SEGMENT_FEATURE]])
    own = [scores.conditioning_fit, scores.self_consistency, np.asarray(explained, float)]
    return np.column_stack([*own, np.tile(shared, (n, 1))])


def segment_features(segments: Sequence[Segment]) -> np.ndarray:
    """Features of a drum before anything was generated, [F]; 0 for those of candidates."""
    # By the network, whatever chose the onsets: its probabilities are calibrated.
    likelihoods = [value for segment in segments for value in segment.probabilities]
    snrs = [value for segment in segments for value in segment.onset_snr]
    row = np.zeros(len(FEATURES))
    if likelihoods:
        # The logarithm: one hit more says much where there are few.
        certain = np.log1p(sum(value >= THRESHOLD for value in likelihoods))
        row[IS_SEGMENT_FEATURE] = [np.mean(likelihoods), np.max(likelihoods), np.mean(snrs), certain]
    return row


def fit(x: np.ndarray, y: np.ndarray, ridge: float = 1.0, weight: np.ndarray | None = None) -> Logistic:
    """Logistic regression by Newton's method on features [n, F] and outcomes [n] of 0 and 1.

    `weight` [n] is how often each row counts (once). `ridge` pulls the weights (not the bias) to 0, so that
    separable data does not give certainty. Outcomes are replaced by Platt's smoothed ones, which keeps the
    bias finite when all outcomes are equal.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    standard = np.column_stack(
        [(x - mean) / scale, np.ones(len(x))]
    )  # [n, F + 1]: the last column is the bias
    weight = np.ones(len(y)) if weight is None else weight
    # Platt's targets: (N+ + 1) / (N+ + 2) instead of 1, and 1 / (N- + 2) instead of 0.
    positives, negatives = (weight * y).sum(), (weight * (1 - y)).sum()
    targets = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    penalty = np.diag([ridge] * x.shape[1] + [1e-6])
    theta = np.zeros(standard.shape[1])
    # Until the largest change is negligible; 50 steps bound the loop where it does not converge.
    for _ in range(50):
        p = _sigmoid(standard @ theta)
        gradient = standard.T @ (weight * (p - targets)) + penalty @ theta
        hessian = (standard * (weight * p * (1 - p) + 1e-9)[:, None]).T @ standard + penalty
        step = np.linalg.solve(hessian, gradient)
        theta -= step
        if np.abs(step).max() < 1e-8:
            break
    return Logistic(
        mean=tuple(map(float, mean)),
        scale=tuple(map(float, scale)),
        weights=tuple(map(float, theta[:-1])),
        bias=float(theta[-1]),
    )


def to_json(calibration: Calibration) -> dict[str, Any]:
    return {"features": list(FEATURES), **dataclasses.asdict(calibration)}


def from_json(value: Mapping[str, Any]) -> dict[str, Calibration]:
    """The calibrations in bundle.json, drum by drum; those fitted to other features are left out.

    So are all of bundles made before the transcription network, whose likelihoods meant something else.
    """
    return {
        drum: Calibration(
            detected=_logistic(stored["detected"]),
            correct=_logistic(stored["correct"]),
        )
        for drum, stored in value.items()
        if tuple(stored.get("features", ())) == FEATURES
    }


def _by_hand(bias: float, **weights: float) -> Logistic:
    """A regression on features as they are, without standardising."""
    n = len(FEATURES)
    return Logistic(
        mean=(0.0,) * n,
        scale=(1.0,) * n,
        weights=tuple(weights.get(name, 0.0) for name in FEATURES),
        bias=bias,
    )


# For a bundle that was never calibrated: weights set by hand. The result is a score, not a probability;
# `dose bundle show` prints "not calibrated".
UNCALIBRATED = Calibration(
    detected=_by_hand(-7.0, mean_likelihood=3.0, max_likelihood=9.0, onset_snr=1.0),
    correct=_by_hand(-4.0, conditioning_fit=4.0, self_consistency=1.0, explained=1.0),
)


def _logistic(value: Mapping[str, Any]) -> Logistic:
    return Logistic(
        mean=tuple(value["mean"]),
        scale=tuple(value["scale"]),
        weights=tuple(value["weights"]),
        bias=value["bias"],
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    probability: np.ndarray = 1 / (1 + np.exp(-np.clip(x, -40, 40)))
    return probability
