"""The rule of promotion: surely better in one family of metrics, in none surely or possibly much worse.

Two families are compared on the same held-out items, by a bootstrap over items that is paired: a resample
draws the same items for both models. Spectral: MSS; the improvement is 1 - exp(mean log(challenger /
champion)), a ratio of geometric means, because MSS spreads over decades and a plain mean is its few worst
items. Distributional: KAD on the codec's embeddings; the improvement is the difference in fractions of the
champion's figure, which is not taken to be below `kad_floor`.

A family is won when the lower bound of its improvement lies above the margin. That bound leaves out risk /
(drums x 2) of the resamples, so that the chance to promote any drum of an equal kit stays below `risk`
(Bonferroni). A family is held when its lower bound at 95 %, one-sided, lies above what may be lost. Drums are
judged one by one: a better kick need not wait for the snare.

Source: Efron and Tibshirani, 1993, chapters 10 and 13; Dunn, JASA 1961.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from dose.errors import DoseError
from dose.metrics.bootstrap import resamples
from dose.registry.gate_config import GateConfig
from dose.registry.paired_bootstrap import kad_change

FAMILIES = ("spectral", "distributional")
HELD = 0.05  # the one-sided risk of the bound that says "not much worse"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelScores:
    """What one model of one drum does on the gate's items, and what it costs."""

    mss: np.ndarray  # [n], one per item, not negative; NaN where it could not be scored
    embeddings: np.ndarray  # float32 [n, W, D]
    seconds: float  # per extraction
    size_mb: float
    broken: tuple[str, ...] = ()  # sentences of behaviour checks that failed


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """An improvement as a fraction of the champion's figure; positive is better."""

    value: float
    sure: float  # lower bound that must be above the margin to win
    held: float  # lower bound that must be above the allowed loss
    n: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether one drum's challenger is promoted, and every reason against it in a sentence."""

    drum: str
    promote: bool
    evidence: Mapping[str, Evidence]
    reasons: tuple[str, ...]


def judge(
    config: GateConfig,
    champions: Mapping[str, ModelScores],
    challengers: Mapping[str, ModelScores],
    truth: Mapping[str, np.ndarray],
) -> dict[str, Verdict]:
    """Drum -> verdict for every drum that has a challenger; `truth` holds the true shots' embeddings.

    Raises DoseError when the scores are not of the same items.
    """
    tests = max(1, len(challengers)) * len(FAMILIES)
    return {
        drum: judge_drum(config, drum, champions[drum], challenger, truth[drum], tests)
        for drum, challenger in challengers.items()
    }


def judge_drum(
    config: GateConfig,
    drum: str,
    champion: ModelScores,
    challenger: ModelScores,
    truth: np.ndarray,
    tests: int,
) -> Verdict:
    """One drum's verdict, where `tests` chances to win share the risk."""
    counts = _counts(config, champion, challenger, truth, drum)
    risk = config.risk / tests
    evidence = {
        "spectral": spectral(champion.mss, challenger.mss, counts, risk),
        "distributional": distributional(
            champion.embeddings, challenger.embeddings, truth, counts, risk, floor=config.kad_floor
        ),
    }
    reasons = [*against(config, evidence), *over_budget(config, champion, challenger), *challenger.broken]
    return Verdict(drum=drum, promote=not reasons, evidence=evidence, reasons=tuple(reasons))


def forbidden(config: GateConfig, champion: ModelScores, challenger: ModelScores) -> bool:
    """Whether the spectral family alone forbids a promotion: a small part of the work of a verdict."""
    counts = _drawn(len(champion.mss), config.resamples, config.seed)
    return spectral(champion.mss, challenger.mss, counts, config.risk).held <= -config.spectral_loss


def against(config: GateConfig, evidence: Mapping[str, Evidence]) -> list[str]:
    """The reasons that the two families give against a promotion."""
    reasons = []
    if not any(e.sure > config.margin for e in evidence.values()):
        best = max(evidence, key=lambda family: evidence[family].sure)
        reasons.append(
            f"It is not surely better: the improvement is {_told(evidence[best])} at best ({best}), "
            f"and its lower bound must be above {config.margin:.1%}."
        )
    allowed = {"spectral": config.spectral_loss, "distributional": config.distributional_loss}
    for family, e in evidence.items():
        if e.held <= -allowed[family]:
            reasons.append(
                f"It may be worse in the {family} family: by up to {-e.held:.1%}, "
                f"where {allowed[family]:.1%} is allowed."
            )
    return reasons


def over_budget(config: GateConfig, champion: ModelScores, challenger: ModelScores) -> list[str]:
    """The reasons that time and size give against a promotion."""
    reasons, budgets = [], config.budgets
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


def spectral(champion: np.ndarray, challenger: np.ndarray, counts: np.ndarray, risk: float) -> Evidence:
    """Scores [n] and [n] of the same items, resamples [R, n]. What either lacks is left out of both."""
    valid = np.isfinite(champion) & np.isfinite(challenger)
    if valid.sum() < 2:
        raise DoseError("Fewer than 2 held-out items could be scored for both models; look at their outputs.")
    tiny = 1e-9  # an exact copy of the truth has MSS 0
    ratio = np.log(np.maximum(challenger[valid], tiny)) - np.log(np.maximum(champion[valid], tiny))
    weight = counts if valid.all() else counts[:, valid]
    totals = weight.sum(axis=1, dtype=np.float64)
    replicates = (weight @ ratio)[totals > 0] / totals[totals > 0]
    return _evidence(1 - np.exp(ratio.mean()), 1 - np.exp(replicates), int(valid.sum()), risk)


def distributional(
    champion: np.ndarray,
    challenger: np.ndarray,
    truth: np.ndarray,
    counts: np.ndarray,
    risk: float,
    *,
    floor: float,
) -> Evidence:
    """Embeddings [n, W, D] of the same items, resamples [R, n]."""
    change = kad_change(champion, challenger, truth, counts)
    scale = max(change.old, floor)
    # A resample repeats items, which shifts both figures alike; the difference is centred all the same.
    replicates = change.replicates / scale
    value = (change.old - change.new) / scale
    return _evidence(value, replicates - np.median(replicates) + value, len(truth), risk)


def _evidence(value: float, replicates: np.ndarray, n: int, risk: float) -> Evidence:
    sure, held = np.percentile(replicates, [100 * risk, 100 * HELD])
    return Evidence(value=float(value), sure=float(sure), held=float(held), n=n)


def _counts(
    config: GateConfig, champion: ModelScores, challenger: ModelScores, truth: np.ndarray, drum: str
) -> np.ndarray:
    sizes = {len(champion.mss), len(challenger.mss), len(champion.embeddings), len(challenger.embeddings)}
    if sizes != {len(truth)}:
        raise DoseError(f"The {drum} models were not scored on the same items; score both again.")
    return _drawn(len(truth), config.resamples, config.seed)


@functools.lru_cache(maxsize=2)
def _drawn(items: int, count: int, seed: int) -> np.ndarray:
    """Float32 [count, items], the same for every drum and never written to."""
    return resamples(items, count, seed).astype(np.float32)


def _told(e: Evidence) -> str:
    return f"{e.value:+.1%} (lower bound {e.sure:+.1%}, {e.n} items)"


def table(verdicts: Mapping[str, Verdict]) -> Sequence[Sequence[str]]:
    """Rows of text for a report: drum, family, improvement, both bounds, verdict."""
    return [
        (
            drum,
            family,
            f"{e.value:+.1%}",
            f"{e.sure:+.1%}",
            f"{e.held:+.1%}",
            str(e.n),
            "promote" if v.promote else "keep",
        )
        for drum, v in verdicts.items()
        for family, e in v.evidence.items()
    ]
