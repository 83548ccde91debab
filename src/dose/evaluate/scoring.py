"""Scores the one-shots of one system, drum and data set.

Item metrics are arrays with NaN where they are undefined; those items are left out of that mean and counted.
Silence from a system is scored as silence where a metric has a value for it. That costs more than a sound
that resembles the reference, but not more than every wrong one: a logarithmic distance (mss_log, lsd_db) may
prefer silence to noise, and the mean of attack_ms leaves silence out. Read them beside `silent`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from dose.evaluate.embeddings import embed_cached
from dose.metrics.attack import attack_error
from dose.metrics.bootstrap import Estimate, mean_estimate, quantile_estimate, set_estimate
from dose.metrics.embeddings import Embedder
from dose.metrics.envelope import envelope_distance
from dose.metrics.fad import (
    MIN_ITEMS,
    fad_infinity,
    flatten_windows,
    frechet_distance,
    package_frechet_distance,
)
from dose.metrics.kad import kad
from dose.metrics.lsd import log_spectral_distance
from dose.metrics.mss import mss_and_log
from dose.metrics.one_shots import is_silent
from dose.metrics.tail import length_error, tail_level

# Of metrics whose mean says little: a few one-shots that start late or do not end are what a user notices.
QUANTILES = {"attack_ms": (0.95,), "tail_db": (0.5, 0.9), "length_error_ms": (0.5,)}
MIN_CURVE_ITEMS = 4  # least size of a sub-set in `size_curve`


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetScores:
    """Distances between sets. `curves`: {embedding: what `size_curve` returns}."""

    estimates: dict[str, Estimate] = dataclasses.field(default_factory=dict)
    curves: dict[str, dict[str, dict[int, float]]] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)


class ReferenceFreeMetric(Protocol):
    """Scores one-shots without their references: `metrics(shots [n, 44100], drum)` -> {metric: [n]}."""

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampling:
    items: np.ndarray  # [R, n] counts for means over items
    sets: np.ndarray  # [r, n] counts, fewer, for distances between sets
    seed: int


def item_scores(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """[n, 44100], [n, 44100] -> {metric: [n]}."""
    return {
        **mss_and_log(generated, reference),
        "lsd_db": log_spectral_distance(generated, reference),
        "envelope_db": envelope_distance(generated, reference),
        "attack_ms": attack_error(generated, reference),
        "tail_db": tail_level(generated, reference),
        "length_error_ms": length_error(generated, reference),
        "silent": np.array([float(is_silent(shot)) for shot in generated]),
    }


def item_estimates(scores: Mapping[str, np.ndarray], resampling: Resampling) -> dict[str, Estimate]:
    """The mean of each metric, and QUANTILES as <metric>_p<percent>."""
    estimates = {metric: mean_estimate(values, resampling.items) for metric, values in scores.items()}
    for metric, quantiles in QUANTILES.items():
        for q in quantiles if metric in scores else ():
            name = f"{metric}_p{round(100 * q)}"
            estimates[name] = quantile_estimate(scores[metric], resampling.items, q)
    return {metric: e for metric, e in estimates.items() if e is not None}


def set_scores(
    generated: np.ndarray,
    reference: np.ndarray,
    valid: np.ndarray,
    embedders: Sequence[Embedder],
    resampling: Resampling,
    cache: Path | None,
) -> SetScores:
    """fad_<name>, fad_inf_<name> and kad_<name> over the items where `valid` [n], with warnings."""
    if valid.sum() < MIN_ITEMS:
        return SetScores(warnings=[f"{valid.sum()} items are too few for FAD and KAD ({MIN_ITEMS})."])
    counts = resampling.sets[:, valid]
    # A covariance needs two different items.
    counts = counts[(counts > 0).sum(axis=1) >= 2]
    out = SetScores()
    for embedder in embedders:
        x = embed_cached(embedder, generated[valid], cache)
        y = embed_cached(embedder, reference[valid], cache)
        out.estimates.update(_distances(embedder.name, x, y, counts, resampling.seed))
        out.curves[embedder.name] = size_curve(x, y, resampling.seed)
        if len(x) * x.shape[1] <= x.shape[2]:
            out.warnings.append(
                f"{len(x)} items give {len(x) * x.shape[1]} embeddings of {x.shape[2]} dimensions "
                f"({embedder.name}); FAD lies far above its value for many items: read fad_inf and kad."
            )
    return out


def _distances(name: str, x: np.ndarray, y: np.ndarray, counts: np.ndarray, seed: int) -> dict[str, Estimate]:
    """Embeddings [n, W, D] and [n, W, D], resample counts [R, n] -> the three distances of one embedding."""
    n = len(x)
    flat_x, flat_y = flatten_windows(x), flatten_windows(y)
    # fad_codec is computed by the package frechet-audio-distance; the equal, 15 times faster form resamples
    # it.
    fad_value = (
        package_frechet_distance(flat_x, flat_y) if name == "codec" else frechet_distance(flat_x, flat_y)
    )
    resampled = [np.repeat(np.arange(n), row) for row in counts]
    replicates = np.array([_fad(x[items], y[items]) for items in resampled])
    fad = set_estimate(max(0.0, fad_value), replicates, n, floor=0.0)
    infinite = fad_infinity(x, y, np.random.default_rng(seed))
    kernel = kad(x, y, counts)
    return {
        f"fad_{name}": fad,
        # Extrapolation shifts the figure; its variance is taken from the figure that it starts from.
        f"fad_inf_{name}": set_estimate(infinite, replicates, n),
        f"kad_{name}": set_estimate(kernel.value, kernel.replicates, n),
    }


def size_curve(x: np.ndarray, y: np.ndarray, seed: int, repeats: int = 5) -> dict[str, dict[int, float]]:
    """{"fad": {items: mean over random sub-sets}, "kad": ...} for an eighth, a quarter, half, all items."""
    rng = np.random.default_rng(seed)
    out: dict[str, dict[int, float]] = {"fad": {}, "kad": {}}
    for count in sorted({max(MIN_CURVE_ITEMS, len(x) // divisor) for divisor in (8, 4, 2, 1)}):
        subsets = [rng.permutation(len(x))[:count] for _ in range(repeats if count < len(x) else 1)]
        out["fad"][count] = float(np.mean([_fad(x[items], y[items]) for items in subsets]))
        out["kad"][count] = float(np.mean([kad(x[items], y[items]).value for items in subsets]))
    return out


def _fad(x: np.ndarray, y: np.ndarray) -> float:
    return frechet_distance(flatten_windows(x), flatten_windows(y))
