"""From what was seen of a drum to two probabilities: that it is there, and that the candidate is right.

Two logistic regressions per drum on a handful of features, fitted on held-out mixes (Platt, 1999, with more
than one feature), stored as plain numbers in bundle.json under `calibration`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dose.extract.rerank import RerankScores
from dose.extract.segments import Segment

FEATURES = ("match", "agreement", "best_match", "pool_agreement", "likelihood", "strongest", "clarity")
REACH = 4.0
# What is said of the drum as a whole, by the windows alone: no candidate has a say in whether it is there.
OF_THE_DRUM = np.array([name in ("likelihood", "strongest", "clarity") for name in FEATURES])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logistic:
    """P = 1 / (1 + exp(-(bias + sum of weight x (feature - mean) / scale))).

    Standardised features are clipped to +-REACH: far outside of what was seen in fitting, a line that was
    fitted there says nothing.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """[n, F] to probabilities [n]."""
        standard = np.clip((features - np.array(self.mean)) / np.array(self.scale), -REACH, REACH)
        return _sigmoid(standard @ np.array(self.weights) + self.bias)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """One drum's two regressions. `right` is about the candidate, given that the drum is there."""

    present: Logistic
    right: Logistic

    def confidence(self, features: np.ndarray) -> np.ndarray:
        """[n, F] to the probability that the drum is there and the candidate is right, [n]."""
        return self.present(features) * self.right(features)


def features(scores: RerankScores, windows: Sequence[Segment]) -> np.ndarray:
    """[n, len(FEATURES)]: what is known of each of n candidates of one drum."""
    n = len(scores.match)
    tries = [float(scores.match.max(initial=0.0)), float(scores.agreement.mean()) if n else 0.0]
    shared = np.concatenate([tries, of_windows(windows)[OF_THE_DRUM]])
    return np.column_stack([scores.match, scores.agreement, np.tile(shared, (n, 1))])


def of_windows(windows: Sequence[Segment]) -> np.ndarray:
    """[len(FEATURES)]: what the windows say of their drum; 0 where only candidates could."""
    likely = [c for window in windows for c in window.likelihood]
    clear = [c for window in windows for c in window.clarity]
    said = [np.mean(likely), np.max(likely), np.mean(clear)] if likely else [0.0, 0.0, 0.0]
    row = np.zeros(len(FEATURES))
    row[OF_THE_DRUM] = said
    return row


def fit(x: np.ndarray, y: np.ndarray, ridge: float = 1.0, weight: np.ndarray | None = None) -> Logistic:
    """Logistic regression by Newton's method on standardised features [n, F] and outcomes [n] of 0 and 1.

    `weight` [n] says how often each row counts (once). `ridge` pulls the weights (not the bias) to 0, so that
    a separable sample does not give certainty. The outcomes are Platt's smoothed ones, which keeps the bias
    finite when all are alike.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0) + 1e-6
    standard = np.column_stack([(x - mean) / scale, np.ones(len(x))])
    weight = np.ones(len(y)) if weight is None else weight
    positives, negatives = (weight * y).sum(), (weight * (1 - y)).sum()
    targets = np.where(y > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    penalty = np.diag([ridge] * x.shape[1] + [1e-6])
    theta = np.zeros(standard.shape[1])
    for _ in range(50):
        p = _sigmoid(standard @ theta)
        gradient = standard.T @ (weight * (p - targets)) + penalty @ theta
        curvature = (standard * (weight * p * (1 - p) + 1e-9)[:, None]).T @ standard + penalty
        step = np.linalg.solve(curvature, gradient)
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
    """The calibrations in bundle.json, drum by drum; those made for other features are left out."""
    return {
        drum: Calibration(present=_logistic(parts["present"]), right=_logistic(parts["right"]))
        for drum, parts in value.items()
        if tuple(parts.get("features", ())) == FEATURES
    }


def _plain(bias: float, **weights: float) -> Logistic:
    n = len(FEATURES)
    return Logistic(
        mean=(0.0,) * n,
        scale=(1.0,) * n,
        weights=tuple(weights.get(name, 0.0) for name in FEATURES),
        bias=bias,
    )


# For a bundle that was never calibrated: slopes that experience suggests. What comes of them is a score and
# no probability; `dose bundle show` says "not calibrated".
UNCALIBRATED = Calibration(
    present=_plain(-2.0, likelihood=3.0, strongest=3.0, clarity=1.0),
    right=_plain(-4.0, match=5.0, agreement=1.0),
)


def reliability(
    p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> list[dict[str, float]]:
    """Rows of a reliability curve: per bin of predicted probability its mean, the share true, and how many.

    `weight` [n] says how often each row counts (once).
    """
    weight = np.ones(len(p)) if weight is None else weight
    which = np.minimum((p * bins).astype(int), bins - 1)
    return [
        {
            "predicted": float(np.average(p[which == b], weights=weight[which == b])),
            "observed": float(np.average(y[which == b], weights=weight[which == b])),
            "count": float(weight[which == b].sum()),
        }
        for b in range(bins)
        if weight[which == b].sum() > 0
    ]


def expected_calibration_error(
    p: np.ndarray, y: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> float:
    """Mean distance of predicted probability and share true over equal bins, weighted by count, 0..1."""
    rows = reliability(p, y, weight, bins)
    return sum(r["count"] * abs(r["predicted"] - r["observed"]) for r in rows) / sum(r["count"] for r in rows)


def _logistic(value: Mapping[str, Any]) -> Logistic:
    return Logistic(
        mean=tuple(value["mean"]),
        scale=tuple(value["scale"]),
        weights=tuple(value["weights"]),
        bias=value["bias"],
    )


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))
