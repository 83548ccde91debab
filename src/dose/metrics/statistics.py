"""Bootstrap intervals: how far a figure would move with other test items.

Items (not windows, not drums) are drawn with replacement; a resample is a row of counts, one per item. Every
system of one data set and drum is scored on the same resamples, so differences between rows are paired.
95 % intervals are percentiles. Source: Efron and Tibshirani, 1993, chapters 6, 10 and 13.

A distance between sets grows when items repeat, so its replicates sit above its value; they are moved down by
the median of that shift (the interval's width is kept) before percentiles are taken.
"""

import dataclasses

import numpy as np

LEVEL = 95.0
_TAILS = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its number of items and interval; `replicates` [R] stay for paired differences."""

    value: float
    n: int
    low: float
    high: float
    replicates: np.ndarray = dataclasses.field(repr=False, compare=False)

    def cell(self) -> dict[str, float | int]:
        """As metrics.json has it."""
        return {"value": self.value, "n": self.n, "low": self.low, "high": self.high}


def resamples(items: int, count: int, seed: int) -> np.ndarray:
    """int64 [count, items]: how often each resample holds each item. Rows sum to `items`."""
    rng = np.random.default_rng([seed, items])
    return rng.multinomial(items, np.full(items, 1 / items), size=count)


def mean_estimate(values: np.ndarray, counts: np.ndarray) -> Estimate | None:
    """The mean of the finite `values` [n] over resamples [R, n]; None when there is no finite value."""
    valid = np.isfinite(values)
    if not valid.any():
        return None
    filled = np.where(valid, values, 0.0)
    weight = counts @ valid.astype(np.float64)
    replicates = (counts @ filled)[weight > 0] / weight[weight > 0]
    low, high = np.percentile(replicates, _TAILS)
    return Estimate(
        value=float(filled.sum() / valid.sum()), n=int(valid.sum()), low=float(low), high=float(high),
        replicates=replicates,
    )  # fmt: skip


def set_estimate(value: float, replicates: np.ndarray, n: int, *, floor: float | None = None) -> Estimate:
    """A figure of a whole set with its centred bootstrap interval, which always holds the value."""
    centred = replicates - np.median(replicates) + value
    low, high = np.percentile(centred, _TAILS)
    if floor is not None:
        low = max(floor, low)
    return Estimate(
        value=float(value),
        n=n,
        low=float(min(low, value)),
        high=float(max(high, value)),
        replicates=replicates,
    )


def mean_difference(a: np.ndarray, b: np.ndarray, counts: np.ndarray) -> Estimate | None:
    """Mean of a - b over the items both rows have, with its paired interval."""
    return mean_estimate(a - b, counts)


def set_difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of two set figures from the same resamples."""
    return set_estimate(a.value - b.value, a.replicates - b.replicates, min(a.n, b.n))


def gap_closed(
    worse: np.ndarray, ours: np.ndarray, ceiling: np.ndarray, counts: np.ndarray
) -> Estimate | None:
    """(worse - ours) / (worse - ceiling) of mean item scores [n]: 0 is the baseline, 1 the codec's ceiling.

    None when the baseline is not worse than the ceiling. Unit: a fraction; not bounded.
    """
    valid = np.isfinite(worse) & np.isfinite(ours) & np.isfinite(ceiling)
    if not valid.any():
        return None
    gained, open_gap = np.where(valid, worse - ours, 0.0), np.where(valid, worse - ceiling, 0.0)
    if open_gap.sum() <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = (counts @ gained) / (counts @ open_gap)
    replicates = replicates[np.isfinite(replicates)]
    low, high = np.percentile(replicates, _TAILS)
    return Estimate(
        value=float(gained.sum() / open_gap.sum()), n=int(valid.sum()), low=float(low), high=float(high),
        replicates=replicates,
    )  # fmt: skip
