"""The result of an extraction."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from dose.config import with_old_names
from dose.transcription.hits import Transcription
from dose.transcription.pattern import groove_facts

# Today's name of a fact -> its name until November 2026. JSON of the command line and of the service holds
# both for one release; kits stored by the service under the old names are still read.
FORMER_NAMES = {
    "detected": "present",
    "conditioning_fit": "match",
    "self_consistency": "agreement",
    "source_energy_ratio": "borrowed",  # old name
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class OneShot:
    """One candidate for one drum of the mix."""

    drum: str
    audio: np.ndarray  # float32 [N], mono, 44.1 kHz, postprocessed with the defaults of `PostprocessConfig`
    raw: np.ndarray  # float32 [44100], mono, before postprocessing
    pan: tuple[float, float]  # gains for left and right with which it stands in the mix; (1, 1) is the centre
    # 0..1, to three places: calibrated probability that the drum is in the mix and the candidate is correct
    confidence: float
    detected: bool  # whether the drum is in the mix
    time: float  # seconds: onset in the source, the best one of the segment that conditioned the candidate
    seed: int  # of its sampling
    conditioning_fit: float  # 0..1: similarity to what the mix shows of the drum
    self_consistency: float  # 0..1: mean similarity to the other candidates
    source_energy_ratio: float = (
        0.0  # 0..1: share of its energy taken from the input mix; the rest is generated
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kit:
    """All one-shots of one source, best first within each drum; a drum may have none."""

    hits: Mapping[str, tuple[OneShot, ...]]
    seconds: float  # length of the source
    version: str  # of the bundle
    data_id: str
    seed: int
    features: tuple[float, ...] = ()  # of the source, see dose.extract.drift
    transcription: Transcription | None = None  # of the source's drums; None where none was made
    # Drum -> share of the source's onset energy that the kit explains: see `extract.resynthesis`.
    resynthesis: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def best(self, drum: str) -> OneShot | None:
        hits = self.hits.get(drum, ())
        return hits[0] if hits else None

    def detected(self, drum: str) -> bool:
        best = self.best(drum)
        return best is not None and best.detected

    @property
    def resynthesis_score(self) -> float | None:
        """The mean over the drums, 0..1; None where nothing could be compared."""
        return sum(self.resynthesis.values()) / len(self.resynthesis) if self.resynthesis else None

    def facts(self) -> dict[str, Any]:
        """Everything but the audio, for JSON; renamed facts also under their former names."""
        return {
            "version": self.version,
            "data_id": self.data_id,
            "seconds": round(self.seconds, 3),
            "seed": self.seed,
            "drums": {
                drum: with_old_names(
                    {
                        "detected": self.detected(drum),
                        "confidence": hits[0].confidence if hits else 0.0,
                        "resynthesis_score": round(self.resynthesis.get(drum, 0.0), 3),
                        "candidates": [_one_shot_facts(hit) for hit in hits],
                    },
                    FORMER_NAMES,
                )
                for drum, hits in self.hits.items()
            },
            "groove": groove_facts(self.transcription),
            "resynthesis_score": None if self.resynthesis_score is None else round(self.resynthesis_score, 3),
        }


def _one_shot_facts(shot: OneShot) -> dict[str, Any]:
    """A one-shot without its audio, for JSON."""
    return with_old_names(
        {
            "confidence": shot.confidence,
            "time": round(shot.time, 3),
            "seed": shot.seed,
            "conditioning_fit": round(shot.conditioning_fit, 3),
            "self_consistency": round(shot.self_consistency, 3),
            "source_energy_ratio": round(shot.source_energy_ratio, 3),
        },
        FORMER_NAMES,
    )
