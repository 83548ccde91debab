"""The gate on made-up models: how often it promotes an equal one, how often a truly better one.

An item has a difficulty (its MSS over all models) and each model its own luck with it; both are log-normal. A
null challenger draws fresh luck with the champion's own distribution: the same model with fresh seeds. A
better one has its MSS scaled. Embeddings are Gaussian around the item's true one, at one distance for both
models, so that the distributional family gives a better challenger no help. The resamples are those of the
gate's own seed in every trial, as they are in every run. `Noise.fit` takes the spreads from the scores of two
models trained on the same data; `Noise()` states what is assumed where there are none.
"""

import dataclasses
import zlib

import numpy as np

from dose.drums import DRUMS
from dose.errors import DoseError
from dose.registry.gate import FAMILIES, ModelScores, forbidden, judge_drum
from dose.registry.gate_config import GateConfig

DIMENSIONS, WINDOWS = 8, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """Standard deviations of log MSS; `source` says where they come from."""

    difficulty: float = 0.8  # between items
    luck: float = 0.28  # of one model on one item: 0.4 for the ratio of two
    offset: float = 0.5  # of a model's embeddings from the truth's, in units of the truth's spread
    source: str = "assumed"

    @classmethod
    def fit(cls, pairs: list[tuple[np.ndarray, np.ndarray]], source: str) -> "Noise":
        """From MSS [n] and [n] of two models on the same items, one pair per drum."""
        logs = [(np.log(a), np.log(b)) for a, b in pairs if len(a) >= 8 and min(a.min(), b.min()) > 0]
        if not logs:
            raise DoseError(f"{source} has no drum with 8 or more items scored for both models.")
        ratio = float(np.median([np.std(b - a, ddof=1) for a, b in logs]))
        spread = float(np.median([np.std(a, ddof=1) for a, _ in logs]))
        if ratio == 0:
            raise DoseError(f"The two models in {source} score alike on every item: they are the same model.")
        luck = ratio / np.sqrt(2)
        return cls(difficulty=float(np.sqrt(max(spread**2 - luck**2, 0.0))), luck=luck, source=source)


def trial(config: GateConfig, noise: Noise, improvement: float, seed: int) -> dict[str, bool]:
    """Drum -> whether the gate promotes a challenger whose MSS is `improvement` (a fraction) lower."""
    promoted = {}
    for drum in DRUMS:
        rng = np.random.default_rng([seed, zlib.crc32(drum.encode())])
        difficulty = rng.normal(0.0, noise.difficulty, config.items)
        truth = rng.normal(size=(config.items, WINDOWS, DIMENSIONS)).astype(np.float32)
        champion = _model(rng, noise, difficulty, truth, 0.0)
        challenger = _model(rng, noise, difficulty, truth, improvement)
        tests = len(DRUMS) * len(FAMILIES)
        promoted[drum] = (
            not forbidden(config, champion, challenger)  # which spares half of the time
            and judge_drum(config, drum, champion, challenger, truth, tests).promote
        )
    return promoted


def _model(
    rng: np.random.Generator, noise: Noise, difficulty: np.ndarray, truth: np.ndarray, improvement: float
) -> ModelScores:
    luck = rng.normal(0.0, noise.luck, len(difficulty))
    own = rng.normal(size=truth.shape) * noise.offset + noise.offset  # blurred, and off to one side
    return ModelScores(
        mss=(1 - improvement) * np.exp(difficulty + luck),
        embeddings=(truth + own).astype(np.float32),
        seconds=1.0,
        size_mb=1.0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rate:
    """How often challengers were promoted."""

    improvement: float
    items: int
    trials: int
    any_drum: float  # share of kits of which at least one drum was promoted
    per_drum: float  # share of drums promoted


def rate(config: GateConfig, noise: Noise, improvement: float, trials: int, first_seed: int = 0) -> Rate:
    found = [trial(config, noise, improvement, first_seed + i) for i in range(trials)]
    return Rate(
        improvement=improvement,
        items=config.items,
        trials=trials,
        any_drum=float(np.mean([any(t.values()) for t in found])),
        per_drum=float(np.mean([list(t.values()) for t in found])),
    )
