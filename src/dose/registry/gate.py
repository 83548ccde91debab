"""The promotion gate: superior in one family of metrics, non-inferior in all, within the budgets.

Two families are compared on the same held-out items by a bootstrap that is paired over items: a resample
draws the same items for both models. Spectral: MSS; the improvement is 1 - exp(mean log(challenger /
champion)), a ratio of geometric means, because MSS spreads over decades and its arithmetic mean is dominated
by the few worst items. Distributional: KAD on the codec's embeddings; the improvement is the difference as a
fraction of the champion's KAD, or of `kad_floor` where that is larger.

Superiority: the lower bound of a family's improvement lies above `superiority_margin`. The bound is the
alpha / (drums x 2) quantile of the resamples, so that the probability of promoting any drum of an equal kit
stays below alpha (Bonferroni correction). Non-inferiority: the lower bound at 95 %, one-sided, lies above
minus the family's tolerance. Each drum is decided on its own.

Sources: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 10 and 13; Dunn, Multiple
Comparisons Among Means, JASA 1961.
"""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from dose.errors import DoseError
from dose.metrics.bootstrap import resamples
from dose.registry.gate_config import GateConfig
from dose.registry.paired_bootstrap import kad_change

FAMILIES = ("spectral", "distributional")
NON_INFERIORITY_ALPHA = 0.05  # one-sided, the usual level
MSS_FLOOR = 1e-9  # below any MSS of two different sounds; an exact copy of the reference has MSS 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelScores:
    """One drum's model on the gate's items, and its cost."""

    mss: np.ndarray  # [n], one per item, not negative; NaN where the item could not be scored
    embeddings: np.ndarray  # float32 [n, W, D]: W windows of D dimensions per item
    seconds: float  # per extraction
    size_mb: float
    faults: tuple[str, ...] = ()  # sentences of the behaviour checks that failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """One family's improvement as a fraction of the champion's score (positive is better) and its bounds."""

    improvement: float
    superiority_bound: float  # lower bound; above the superiority margin the challenger is superior
    non_inferiority_bound: float  # lower bound; above minus the tolerance the challenger is not inferior
    items: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether one drum's challenger is promoted, and every reason against it as a sentence."""

    drum: str
    promote: bool
    evidence: Mapping[str, Evidence]  # by family
    reasons: tuple[str, ...]


def decide(
    config: GateConfig,
    champions: Mapping[str, ModelScores],
    challengers: Mapping[str, ModelScores],
    references: Mapping[str, np.ndarray],
) -> dict[str, Verdict]:
    """Drum -> verdict for every drum that has a challenger.

    `references` holds the embeddings [n, W, D] of the reference one-shots. Raises DoseError when the scores
    are not of the same items.
    """
    # The number of comparisons that could promote something, for the Bonferroni correction.
    tests = max(1, len(challengers)) * len(FAMILIES)
    return {
        drum: decide_drum(config, drum, champions[drum], challenger, references[drum], tests)
        for drum, challenger in challengers.items()
    }


def decide_drum(
    config: GateConfig,
    drum: str,
    champion: ModelScores,
    challenger: ModelScores,
    reference: np.ndarray,
    tests: int,
) -> Verdict:
    """One drum's verdict, where alpha is divided over `tests` comparisons."""
    counts = _resample_counts(config, champion, challenger, reference, drum)
    # Bonferroni: the probability of any false promotion is at most the sum over the comparisons.
    alpha = config.alpha / tests
    evidence = {
        "spectral": spectral(champion.mss, challenger.mss, counts, alpha),
        "distributional": distributional(
            champion.embeddings, challenger.embeddings, reference, counts, alpha, floor=config.kad_floor
        ),
    }
    reasons = [
        *inferiority_reasons(config, evidence),
        *budget_reasons(config, champion, challenger),
        *challenger.faults,
    ]
    return Verdict(drum=drum, promote=not reasons, evidence=evidence, reasons=tuple(reasons))


def spectrally_inferior(config: GateConfig, champion: ModelScores, challenger: ModelScores) -> bool:
    """Whether the spectral family alone rules a promotion out: a small part of the work of a verdict."""
    counts = _cached_counts(len(champion.mss), config.resamples, config.seed)
    found = spectral(champion.mss, challenger.mss, counts, config.alpha)
    return found.non_inferiority_bound <= -config.spectral_tolerance


def inferiority_reasons(config: GateConfig, evidence: Mapping[str, Evidence]) -> list[str]:
    """The reasons against a promotion in the two families of metrics."""
    reasons = []
    # Superiority in one family is enough ...
    if not any(e.superiority_bound > config.superiority_margin for e in evidence.values()):
        best = max(evidence, key=lambda family: evidence[family].superiority_bound)
        reasons.append(
            f"It is not superior: the improvement is {_describe(evidence[best])} at best ({best}), "
            f"and its lower bound must be above {config.superiority_margin:.1%}."
        )
    # ... but each family must be non-inferior.
    tolerances = {"spectral": config.spectral_tolerance, "distributional": config.distributional_tolerance}
    for family, e in evidence.items():
        if e.non_inferiority_bound <= -tolerances[family]:
            reasons.append(
                f"It may be worse in the {family} family: by up to {-e.non_inferiority_bound:.1%}, "
                f"where {tolerances[family]:.1%} is allowed."
            )
    return reasons


def budget_reasons(config: GateConfig, champion: ModelScores, challenger: ModelScores) -> list[str]:
    """The reasons against a promotion in time and size."""
    reasons, budgets = [], config.budgets
    # One limit of the latency is absolute, one relative to the champion.
    if challenger.seconds > budgets.latency_s:
        reasons.append(
            f"It takes {challenger.seconds:.2f} s per extraction; {budgets.latency_s:.2f} s are allowed."
        )
    if challenger.seconds > budgets.latency_ratio * champion.seconds:
        reasons.append(
            f"It takes {challenger.seconds / champion.seconds:.2f} times the champion's time; "
            f"{budgets.latency_ratio:.2f} times are allowed."
        )
    if challenger.size_mb > budgets.size_mb:
        reasons.append(f"It has {challenger.size_mb:.1f} MB; {budgets.size_mb:.1f} MB are allowed.")
    return reasons


def spectral(champion: np.ndarray, challenger: np.ndarray, counts: np.ndarray, alpha: float) -> Evidence:
    """MSS [n] of both models on the same items, resample counts [R, n]; items that either lacks are left out.

    Raises DoseError with fewer than 2 common items.
    """
    # Paired: an item counts only where both models have a score.
    valid = np.isfinite(champion) & np.isfinite(challenger)
    if valid.sum() < 2:
        raise DoseError("Fewer than 2 held-out items could be scored for both models; look at their outputs.")
    # Log ratio of the paired items, in which an item's own effect on MSS cancels.
    log_ratio = np.log(np.maximum(challenger[valid], MSS_FLOOR)) - np.log(
        np.maximum(champion[valid], MSS_FLOOR)
    )
    # [R, valid items]; a resample's mean is taken over the valid items that it drew.
    weights = counts if valid.all() else counts[:, valid]
    totals = weights.sum(axis=1, dtype=np.float64)
    # A resample that drew only left-out items has no mean.
    replicates = (weights @ log_ratio)[totals > 0] / totals[totals > 0]
    return _evidence(1 - np.exp(log_ratio.mean()), 1 - np.exp(replicates), int(valid.sum()), alpha)


def distributional(
    champion: np.ndarray,
    challenger: np.ndarray,
    reference: np.ndarray,
    counts: np.ndarray,
    alpha: float,
    *,
    floor: float,
) -> Evidence:
    """Embeddings [n, W, D] of the same items, resample counts [R, n]."""
    change = kad_change(champion, challenger, reference, counts)
    # Near 0 a fraction of KAD is meaningless, hence the floor.
    scale = max(change.old, floor)
    # A resample repeats items, which biases both models' KAD alike; centring removes what is left of it.
    replicates = change.replicates / scale
    improvement = (change.old - change.new) / scale
    return _evidence(improvement, replicates - np.median(replicates) + improvement, len(reference), alpha)


def _evidence(improvement: float, replicates: np.ndarray, items: int, alpha: float) -> Evidence:
    # Both bounds are percentiles of one bootstrap distribution.
    superiority, non_inferiority = np.percentile(replicates, [100 * alpha, 100 * NON_INFERIORITY_ALPHA])
    return Evidence(
        improvement=float(improvement),
        superiority_bound=float(superiority),
        non_inferiority_bound=float(non_inferiority),
        items=items,
    )


def _resample_counts(
    config: GateConfig, champion: ModelScores, challenger: ModelScores, reference: np.ndarray, drum: str
) -> np.ndarray:
    sizes = {len(champion.mss), len(challenger.mss), len(champion.embeddings), len(challenger.embeddings)}
    if sizes != {len(reference)}:
        raise DoseError(f"The {drum} models were not scored on the same items; score both again.")
    return _cached_counts(len(reference), config.resamples, config.seed)


@functools.lru_cache(maxsize=2)
def _cached_counts(items: int, count: int, seed: int) -> np.ndarray:
    """Float32 [count, items]: how often each resample draws each item. Shared by all drums; read-only."""
    return resamples(items, count, seed).astype(np.float32)


def _describe(e: Evidence) -> str:
    return f"{e.improvement:+.1%} (lower bound {e.superiority_bound:+.1%}, {e.items} items)"
