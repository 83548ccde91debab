"""Bootstrap intervals over items: how far a figure would vary with other test items.

Items (not windows, not drums) are resampled with replacement; a resample is a row of counts, one per item.
Every system is scored on the same resamples of a data set and drum, so differences between systems are
paired. 95 % intervals are percentiles. Source: Efron and Tibshirani, 1993, chapters 6, 10 and 13.

A distance between sets grows when items repeat, so its replicates lie above its value; they are shifted down
by the median of that excess (the interval's width is kept) before percentiles are taken.
"""

import dataclasses

import numpy as np

LEVEL = 95.0
_TAILS = ((100 - LEVEL) / 2, (100 + LEVEL) / 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its number of items and interval; `replicates` [R] serve paired differences."""

    value: float
    n: int
    low: float
    high: float
    replicates: np.ndarray = dataclasses.field(repr=False, compare=False)

    def to_json(self) -> dict[str, float | int]:
        """As in metrics.json."""
        return {"value": self.value, "n": self.n, "low": self.low, "high": self.high}


def resamples(items: int, count: int, seed: int) -> np.ndarray:
    """int64 [count, items]: how often each resample holds each item. Rows sum to `items`."""
    # The number of items seeds too, so that sub-sets do not get truncated resamples of the whole.
    rng = np.random.default_rng([seed, items])
    return rng.multinomial(items, np.full(items, 1 / items), size=count)


def mean_estimate(values: np.ndarray, counts: np.ndarray) -> Estimate | None:
    """The mean of the finite `values` [n] over resamples [R, n]; None where there is no finite value."""
    valid = np.isfinite(values)
    if not valid.any():
        return None
    filled = np.where(valid, values, 0.0)
    # Each resample divides by the number of its own finite values; one without any is dropped.
    weight = counts @ valid.astype(np.float64)  # [R]
    replicates = (counts @ filled)[weight > 0] / weight[weight > 0]
    return _percentile_estimate(float(filled.sum() / valid.sum()), int(valid.sum()), replicates)


def quantile_estimate(values: np.ndarray, counts: np.ndarray, quantile: float) -> Estimate | None:
    """A quantile (0..1) of the finite `values` [n] over resamples [R, n]; None where there is none."""
    valid = np.isfinite(values)
    if not valid.any():
        return None
    finite = values[valid]
    repeated = [np.repeat(finite, row) for row in counts[:, valid]]
    replicates = np.array([np.quantile(row, quantile) for row in repeated if len(row)])
    return _percentile_estimate(float(np.quantile(finite, quantile)), int(valid.sum()), replicates)


def ratio_estimate(numerator: np.ndarray, denominator: np.ndarray, counts: np.ndarray) -> Estimate | None:
    """A ratio of sums over items [n], such as an F-measure of summed counts; None where the whole is 0."""
    if denominator.sum() == 0:
        return None
    whole = counts @ denominator  # [R]
    replicates = (counts @ numerator)[whole > 0] / whole[whole > 0]
    value = float(numerator.sum() / denominator.sum())
    return _percentile_estimate(value, int((denominator > 0).sum()), replicates)


def set_estimate(value: float, replicates: np.ndarray, n: int, *, floor: float | None = None) -> Estimate:
    """A figure of a whole set of n items with its centred interval, which always contains the value.

    `floor` is the least possible value of the figure, if it has one.
    """
    # See the module: repeated items inflate a distance between sets, the median of the replicates included.
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
    """Mean of a - b [n] over the items that both systems have, with its paired interval."""
    return mean_estimate(a - b, counts)


def set_difference(a: Estimate, b: Estimate) -> Estimate:
    """a - b of two set figures from the same resamples."""
    return set_estimate(a.value - b.value, a.replicates - b.replicates, min(a.n, b.n))


def normalised_improvement(
    baseline: np.ndarray, system: np.ndarray, reconstruction: np.ndarray, counts: np.ndarray
) -> Estimate | None:
    """Share of the gap between a baseline and codec reconstruction that a system closes.

    (baseline - system) / (baseline - reconstruction) of mean item scores [n], over resamples [R, n]: 0 is the
    baseline, 1 codec reconstruction. Unit: fraction; not bounded. None where the baseline is not worse than
    reconstruction.
    """
    valid = np.isfinite(baseline) & np.isfinite(system) & np.isfinite(reconstruction)
    if not valid.any():
        return None
    # A ratio of sums, not a mean of ratios: single items may have no gap at all.
    gain = np.where(valid, baseline - system, 0.0)
    gap = np.where(valid, baseline - reconstruction, 0.0)
    if gap.sum() <= 0:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        replicates = (counts @ gain) / (counts @ gap)
    replicates = replicates[np.isfinite(replicates)]
    return _percentile_estimate(float(gain.sum() / gap.sum()), int(valid.sum()), replicates)


def _percentile_estimate(value: float, n: int, replicates: np.ndarray) -> Estimate:
    low, high = np.percentile(replicates, _TAILS)
    return Estimate(value=value, n=n, low=float(low), high=float(high), replicates=replicates)
