"""What speaks for a drum in a few seconds of music: its likely hits, and other drums that are taken for it."""

import dataclasses

import numpy as np

from dose.transcription.decode import THRESHOLD, peaks
from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.onsets import drum_probability
from dose.transcription.transcribe import Activations

LIKELY = 0.05  # probability of a hit from which on it says something; by hand
# What is reported most for a drum that was taken out of a mix (docs/extract.md).
TAKEN_FOR = {"kick": ("tom",), "snare": ("clap", "tom"), "hihat": ("cymbal",)}
NEAR = 0.03  # seconds: two hits this close are one sound


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Of one drum."""

    probabilities: tuple[float, ...] = ()  # of its likely hits, 0..1, highest first
    rival: float = 0.0  # mean over its certain hits of the probability of a hit that is taken for it, 0..1


NO_EVIDENCE = Evidence()


def evidence(found: Activations, drum: str) -> Evidence:
    """The evidence for a drum in a mix with these activations. Raises ValueError for an unknown drum."""
    row = drum_probability(found, drum)
    likely = [float(row[frame]) for frame in peaks(row, LIKELY)]
    certain = peaks(row, THRESHOLD)
    others = found.onsets[[HIT_CLASSES.index(name) for name in TAKEN_FOR[drum]]].max(axis=0)
    reach = round(NEAR * FRAME_RATE)
    rivals = [float(others[max(0, f - reach) : f + reach + 1].max()) for f in certain]
    return Evidence(
        probabilities=tuple(sorted(likely, reverse=True)), rival=float(np.mean(rivals)) if rivals else 0.0
    )
