"""The promotion gate on simulated scores: its false-promotion rate and its power.

The log MSS of an item is the item's effect (shared by all models) plus an effect of model and item (a
training's seed); both are normal. An equal challenger draws its effects anew from the champion's
distribution, as a training with other seeds does. A better one has its MSS scaled. Embeddings are Gaussian
around the reference's, at one distance for both models, so that the distributional family gives a better
challenger no help. Every trial uses the gate's own seed for the resamples, as every real run does.
`ScoreNoise.fit` estimates the spreads from two models trained on the same data; `ScoreNoise()` holds the
values that are assumed without such a pair.
"""

import dataclasses
import zlib

import numpy as np

from dose.drums import DRUMS
from dose.errors import DoseError
from dose.registry.gate import FAMILIES, ModelScores, decide_drum, spectrally_inferior
from dose.registry.gate_config import GateConfig

DIMENSIONS, WINDOWS = 8, 1  # of the simulated embeddings; small, as only their distances matter


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreNoise:
    """Standard deviations of log MSS; `source` names their origin. The defaults are assumptions."""

    item_sd: float = 0.8  # between items
    seed_sd: float = 0.28  # of one model on one item: 0.4 for the ratio of two
    offset: float = 0.5  # of a model's embeddings from the reference's, in units of the reference's spread
    source: str = "assumed"

    @classmethod
    def fit(cls, pairs: list[tuple[np.ndarray, np.ndarray]], source: str) -> "ScoreNoise":
        """From MSS [n] and [n] of two models on the same items, one pair per drum.

        Raises DoseError without a drum of 8 or more items, and where both models have the same scores.
        """
        # MSS 0 has no logarithm; fewer than 8 items give no usable spread.
        logs = [(np.log(a), np.log(b)) for a, b in pairs if len(a) >= 8 and min(a.min(), b.min()) > 0]
        if not logs:
            raise DoseError(f"{source} has no drum with 8 or more items scored for both models.")
        ratio_sd = float(np.median([np.std(b - a, ddof=1) for a, b in logs]))
        total_sd = float(np.median([np.std(a, ddof=1) for a, _ in logs]))
        if ratio_sd == 0:
            raise DoseError(f"The two models in {source} score alike on every item: they are the same model.")
        # The item effect cancels in the ratio, which has the variance of two independent seed effects.
        seed_sd = ratio_sd / np.sqrt(2)
        return cls(item_sd=float(np.sqrt(max(total_sd**2 - seed_sd**2, 0.0))), seed_sd=seed_sd, source=source)


def simulate(config: GateConfig, noise: ScoreNoise, improvement: float, seed: int) -> dict[str, bool]:
    """Drum -> whether the gate promotes a challenger whose MSS is `improvement` (a fraction) lower."""
    promoted = {}
    for drum in DRUMS:
        rng = np.random.default_rng([seed, zlib.crc32(drum.encode())])
        # The effects of the items are the same for both models.
        item_effect = rng.normal(0.0, noise.item_sd, config.items)  # [n]
        reference = rng.normal(size=(config.items, WINDOWS, DIMENSIONS)).astype(np.float32)
        # Two trainings: each model has seed effects of its own.
        champion = _model(rng, noise, item_effect, reference, 0.0)
        challenger = _model(rng, noise, item_effect, reference, improvement)
        # As in a run in which every drum has a challenger.
        tests = len(DRUMS) * len(FAMILIES)
        promoted[drum] = (
            not spectrally_inferior(config, champion, challenger)  # saves half of the time
            and decide_drum(config, drum, champion, challenger, reference, tests).promote
        )
    return promoted


def _model(
    rng: np.random.Generator,
    noise: ScoreNoise,
    item_effect: np.ndarray,
    reference: np.ndarray,
    improvement: float,
) -> ModelScores:
    seed_effect = rng.normal(0.0, noise.seed_sd, len(item_effect))
    # Blurred, and displaced as a whole.
    error = rng.normal(size=reference.shape) * noise.offset + noise.offset
    return ModelScores(
        mss=(1 - improvement) * np.exp(item_effect + seed_effect),
        embeddings=(reference + error).astype(np.float32),
        seconds=1.0,
        size_mb=1.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromotionRate:
    """How often simulated challengers were promoted."""

    improvement: float
    items: int
    trials: int  # simulated kits
    any_drum: float  # share of kits of which at least one drum was promoted
    per_drum: float  # share of drums promoted


def promotion_rate(
    config: GateConfig, noise: ScoreNoise, improvement: float, trials: int, first_seed: int = 0
) -> PromotionRate:
    kits = [simulate(config, noise, improvement, first_seed + i) for i in range(trials)]
    return PromotionRate(
        improvement=improvement,
        items=config.items,
        trials=trials,
        any_drum=float(np.mean([any(kit.values()) for kit in kits])),
        per_drum=float(np.mean([list(kit.values()) for kit in kits])),
    )
