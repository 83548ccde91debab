"""One cell of the table: a system's one-shots of one drum in one data set, scored.

Item metrics are arrays with NaN where they are not defined; those items are left out of that mean and
counted. Silence from a system is scored as silence where a metric has a value for it. That costs more than a
sound that resembles the truth, but not more than every wrong one: a logarithmic distance (mss_log, lsd_db)
may prefer silence to noise, and the mean of attack_ms leaves silence out. Read them beside `silent`.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from dose.metrics import mss, spectral
from dose.metrics.attack import attack_error
from dose.metrics.embeddings import Embedder, embed_cached
from dose.metrics.frechet import MIN_SET, frechet, frechet_infinity, frechet_package
from dose.metrics.kernel import kad
from dose.metrics.shots import is_silent
from dose.metrics.statistics import Estimate, mean_estimate, set_estimate


@dataclasses.dataclass(frozen=True, kw_only=True)
class SetScores:
    """`curves`: what `size_curve` gives, by embedding."""

    estimates: dict[str, Estimate] = dataclasses.field(default_factory=dict)
    curves: dict[str, dict[str, dict[int, float]]] = dataclasses.field(default_factory=dict)
    warnings: list[str] = dataclasses.field(default_factory=list)


class ReferenceFreeMetric(Protocol):
    """Scores a sound without its truth: `metrics(shots [n, 44100], drum)` -> {metric: [n]}."""

    def metrics(self, shots: np.ndarray, drum: str) -> dict[str, np.ndarray]: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampling:
    items: np.ndarray  # [R, n] counts for means over items
    sets: np.ndarray  # [r, n] counts, fewer, for distances between sets
    seed: int


def item_scores(generated: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """[n, 44100], [n, 44100] -> {metric: [n]}."""
    return {
        **mss.both(generated, reference),
        "lsd_db": spectral.log_spectral_distance(generated, reference),
        "envelope_db": spectral.envelope_distance(generated, reference),
        "attack_ms": attack_error(generated, reference),
        "silent": np.array([float(is_silent(shot)) for shot in generated]),
    }


def item_estimates(scores: Mapping[str, np.ndarray], sampling: Resampling) -> dict[str, Estimate]:
    estimates = {metric: mean_estimate(values, sampling.items) for metric, values in scores.items()}
    return {metric: e for metric, e in estimates.items() if e is not None}


def set_scores(
    generated: np.ndarray,
    reference: np.ndarray,
    valid: np.ndarray,
    embedders: Sequence[Embedder],
    sampling: Resampling,
    cache: Path | None,
) -> SetScores:
    """fad_<name>, fad_inf_<name> and kad_<name> over the items where `valid` [n], and what to be wary of."""
    if valid.sum() < MIN_SET:
        return SetScores(warnings=[f"{valid.sum()} items are too few for FAD and KAD ({MIN_SET})."])
    counts = sampling.sets[:, valid]
    counts = counts[(counts > 0).sum(axis=1) >= 2]
    out = SetScores()
    for embedder in embedders:
        x = embed_cached(embedder, generated[valid], cache)
        y = embed_cached(embedder, reference[valid], cache)
        out.estimates.update(_distances(embedder.name, x, y, counts, sampling.seed))
        out.curves[embedder.name] = size_curve(x, y, sampling.seed)
        if len(x) * x.shape[1] <= x.shape[2]:
            out.warnings.append(
                f"{len(x)} items give {len(x) * x.shape[1]} embeddings of {x.shape[2]} dimensions "
                f"({embedder.name}); FAD lies far above its value for many items: read fad_inf and kad."
            )
    return out


def _distances(name: str, x: np.ndarray, y: np.ndarray, counts: np.ndarray, seed: int) -> dict[str, Estimate]:
    n = len(x)
    flat_x, flat_y = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    # The codec's figure is made by the package of that name; ours, equal and 15 times faster, resamples it.
    value = frechet_package(flat_x, flat_y) if name == "codec" else frechet(flat_x, flat_y)
    picks = [np.repeat(np.arange(n), row) for row in counts]
    replicates = np.array([frechet(_rows(x[p]), _rows(y[p])) for p in picks])
    fad = set_estimate(max(0.0, value), replicates, n, floor=0.0)
    infinite = frechet_infinity(x, y, np.random.default_rng(seed))
    kernel = kad(x, y, counts)
    return {
        f"fad_{name}": fad,
        # The extrapolation moves the figure; its own scatter is that of the figure it starts from.
        f"fad_inf_{name}": set_estimate(infinite, replicates, n),
        f"kad_{name}": set_estimate(kernel.value, kernel.replicates, n),
    }


def size_curve(x: np.ndarray, y: np.ndarray, seed: int, draws: int = 5) -> dict[str, dict[int, float]]:
    """{"fad": {items: mean over random sub-sets}, "kad": ...} for an eighth, a quarter, half, all items."""
    rng = np.random.default_rng(seed)
    out: dict[str, dict[int, float]] = {"fad": {}, "kad": {}}
    for count in sorted({max(4, len(x) // part) for part in (8, 4, 2, 1)}):
        picks = [rng.permutation(len(x))[:count] for _ in range(draws if count < len(x) else 1)]
        out["fad"][count] = float(np.mean([frechet(_rows(x[p]), _rows(y[p])) for p in picks]))
        out["kad"][count] = float(np.mean([kad(x[p], y[p]).value for p in picks]))
    return out


def _rows(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])
