"""What an extraction gives back."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneShot:
    """One candidate for one drum of the mix."""

    drum: str
    audio: np.ndarray  # float32 [N], mono, 44.1 kHz, finished with the defaults of `finish.Finish`
    raw: np.ndarray  # float32 [44100], mono, as the model made it, for finishing otherwise
    pan: tuple[float, float]  # gains for left and right with which it stands in the mix; (1, 1) is the centre
    confidence: float  # 0..1: how likely the drum is there and sounds like this
    present: bool  # whether the drum is in the mix at all
    time: float  # seconds into the source: the clearest hit of the window it was taken from
    seed: int  # of its sampling
    match: float  # 0..1: how well it explains the mix at its onsets
    agreement: float  # 0..1: how like the other candidates it is
    borrowed: float = 0.0  # 0..1: share of its power that is the recording's own sound, the rest is written


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kit:
    """All hits of one source, best first within each drum; a drum may have none."""

    hits: Mapping[str, tuple[OneShot, ...]]
    seconds: float  # length of the source
    version: str  # of the bundle
    data_id: str
    seed: int
    features: tuple[float, ...] = ()  # of the source, see dose.extract.drift

    def best(self, drum: str) -> OneShot | None:
        hits = self.hits.get(drum, ())
        return hits[0] if hits else None

    def present(self, drum: str) -> bool:
        best = self.best(drum)
        return best is not None and best.present

    def facts(self) -> dict[str, Any]:
        """Everything but the audio, for JSON."""
        return {
            "version": self.version,
            "data_id": self.data_id,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "drums": {
                drum: {
                    "present": self.present(drum),
                    "confidence": round(hits[0].confidence, 3) if hits else 0.0,
                    "candidates": [hit_facts(hit) for hit in hits],
                }
                for drum, hits in self.hits.items()
            },
        }


def hit_facts(hit: OneShot) -> dict[str, Any]:
    """A hit without its audio, for JSON."""
    return {
        "confidence": round(hit.confidence, 3),
        "time": round(hit.time, 3),
        "seed": hit.seed,
        "match": round(hit.match, 3),
        "agreement": round(hit.agreement, 3),
        "borrowed": round(hit.borrowed, 3),
    }
