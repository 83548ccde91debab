"""How well predicted probabilities agree with outcomes: calibration error, reliability curve, AUC."""

from typing import Any

import numpy as np


def report(predicted: np.ndarray, outcome: np.ndarray, weight: np.ndarray) -> dict[str, Any]:
    """All figures of predictions [n] against outcomes [n] of 0 and 1; rows count by `weight` [n]."""
    return {
        "ece": round(expected_calibration_error(predicted, outcome, weight), 4),
        "base_rate": round(float(np.average(outcome, weights=weight)), 4),
        "auc": round(auc(predicted, outcome), 4),
        "count": len(outcome),
        "reliability": reliability_curve(predicted, outcome, weight),
    }


def reliability_curve(
    predicted: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> list[dict[str, float]]:
    """Per bin of predicted probability: its mean, the observed frequency, and the count; empty bins left out.

    `weight` [n] is how often each row counts (once).
    """
    weight = np.ones(len(predicted)) if weight is None else weight
    # Equal bins over 0..1; a probability of 1 falls into the last one.
    bin_of = np.minimum((predicted * bins).astype(int), bins - 1)
    return [
        {
            "predicted": float(np.average(predicted[bin_of == b], weights=weight[bin_of == b])),
            "observed": float(np.average(outcome[bin_of == b], weights=weight[bin_of == b])),
            "count": float(weight[bin_of == b].sum()),
        }
        for b in range(bins)
        if weight[bin_of == b].sum() > 0
    ]


def expected_calibration_error(
    predicted: np.ndarray, outcome: np.ndarray, weight: np.ndarray | None = None, bins: int = 10
) -> float:
    """Mean distance of predicted probability and observed frequency over equal bins, weighted by count, 0..1.

    Naeini et al., 2015.
    """
    rows = reliability_curve(predicted, outcome, weight, bins)
    return sum(r["count"] * abs(r["predicted"] - r["observed"]) for r in rows) / sum(r["count"] for r in rows)


def auc(predicted: np.ndarray, outcome: np.ndarray) -> float:
    """Probability that a positive row is ranked above a negative one; 0.5 when there is only one kind."""
    positive, negative = predicted[outcome > 0], predicted[outcome == 0]
    if not len(positive) or not len(negative):
        return 0.5
    # Ties count half (Mann-Whitney U).
    above, equal = positive[:, None] > negative, positive[:, None] == negative  # [positives, negatives]
    return float(above.mean() + 0.5 * equal.mean())
