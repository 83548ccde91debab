"""The hits of a drum that condition a model: few, certain, and as free of other sounds as there are.

Training and extraction call the same function, so that a model is trained on the choices that it meets later.
"""

import dataclasses
from typing import Literal

import numpy as np

from dose.drums import DRUMS
from dose.transcription import detector
from dose.transcription.decode import THRESHOLD, peaks, vertex
from dose.transcription.front_end import FRAME_RATE, HOP
from dose.transcription.hits import CLASSES_OF, HIT_CLASSES
from dose.transcription.onset import Onset, best
from dose.transcription.transcribe import Activations

# Seconds around a hit in which other drums disturb it, and after it in which its own next hit cuts it short:
# by hand.
DISTURBED = (-0.03, 0.10)
REPEATED = (0.06, 0.35)
# How much a certain hit of another class takes off the rank of a drum's hit; by hand, after which bands they
# share: a hi-hat hides little of a kick.
DISTURBS = {
    "kick": {"snare": 0.5, "clap": 0.3, "tom": 0.5, "closed_hihat": 0.1, "open_hihat": 0.2, "cymbal": 0.3},
    "snare": {"kick": 0.5, "clap": 0.6, "tom": 0.5, "closed_hihat": 0.2, "open_hihat": 0.3, "cymbal": 0.4},
    "hihat": {"kick": 0.4, "snare": 0.6, "clap": 0.6, "tom": 0.4, "cymbal": 0.7},
}
OTHER_HAT = 0.6  # the same for an open hi-hat where closed ones are wanted, and the other way round
REPEAT_WEIGHT, VELOCITY_WEIGHT = 0.2, 0.2  # of the own next hit, and of how hard the hit is; by hand


OnsetSource = Literal["network", "detector"]  # what chooses onsets: see `choose_onsets`
CANDIDATES = 24  # onsets of the detector that agreement with the network ranks anew
AGREEMENT_WEIGHT = 1.0  # of the network's probability at an onset of the detector
AGREEMENT = 2  # frames around that onset


def choose_onsets(
    source: OnsetSource, mix: np.ndarray, found: Activations, drum: str, count: int
) -> list[Onset]:
    """The `count` best onsets of `drum` in mix [N] with its activations, as models of this source take them.

    "network": `find_onsets`. "detector": those of `detector`, for models that were trained with it, ranked by
    their agreement with the network, which is right about kicks and snares far more often.
    """
    if source == "network":
        return find_onsets(found, drum, count)
    row = _probability(found, drum)

    def agreed(onset: Onset) -> Onset:
        frame = round(onset.start / HOP)
        near = float(row[max(0, frame - AGREEMENT) : frame + AGREEMENT + 1].max(initial=0))
        return dataclasses.replace(onset, rank=onset.rank + AGREEMENT_WEIGHT * near)

    offered = detector.find_onsets(mix, drum, CANDIDATES, found.detector)
    return best(map(agreed, offered), count)


def find_onsets(found: Activations, drum: str, count: int) -> list[Onset]:
    """The `count` best onsets of `drum` in a mix with these activations, best first, if there are so many.

    Without any hit that is more probable than not, the best guesses. Raises ValueError for an unknown drum.
    """
    if drum not in DRUMS:
        raise ValueError(f"{drum!r} is not one of {', '.join(DRUMS)}")
    # 1. The probability of any hit of the drum: where closed and open hi-hat are hard to tell apart, each is
    # improbable while a hi-hat is certain.
    row = _probability(found, drum)
    # 2. Of all certain hits the best ones that are apart.
    frames = peaks(row, THRESHOLD) or peaks(row, 1e-3)
    cls = _variant(found, drum)
    return best((_onset(found, drum, cls, row, frame) for frame in frames), count)


def _probability(found: Activations, drum: str) -> np.ndarray:
    """The probability of a hit of any class of the drum, [T]."""
    row: np.ndarray = 1 - np.prod(
        [1 - found.onsets[HIT_CLASSES.index(cls)] for cls in CLASSES_OF[drum]], axis=0
    )
    return row


def _variant(found: Activations, drum: str) -> str:
    """The class of the drum that is hit most: closed or open hi-hat, since one sound is wanted of them."""

    def amount(cls: str) -> tuple[float, float]:
        row = found.onsets[HIT_CLASSES.index(cls)]
        return float(sum(row[p] for p in peaks(row, THRESHOLD))), float(row.max(initial=0))

    return max(CLASSES_OF[drum], key=amount)


def _onset(found: Activations, drum: str, cls: str, row: np.ndarray, frame: int) -> Onset:
    """The onset at a frame of the drum's probability `row` [T], where hits of the class `cls` are wanted."""
    low, high = (round(s * FRAME_RATE) for s in DISTURBED)
    around = found.onsets[:, max(0, frame + low) : frame + high + 1].max(axis=1)  # [classes]
    disturbed = max(w * float(around[HIT_CLASSES.index(other)]) for other, w in DISTURBS[drum].items())
    first, last = (round(s * FRAME_RATE) for s in REPEATED)
    repeated = REPEAT_WEIGHT * float(row[frame + first : frame + last].max(initial=0))
    velocity = VELOCITY_WEIGHT * float(found.velocities[HIT_CLASSES.index(cls), frame])
    # A hit that is rather one of the other variant.
    own = found.onsets[HIT_CLASSES.index(cls), frame]
    other = OTHER_HAT * max(0.0, float(row[frame] - 2 * own)) if len(CLASSES_OF[drum]) > 1 else 0.0
    # The last frame lies at the end of the mix, or just before it: an onset lies inside.
    start = min(max(round(vertex(row, frame) * HOP), 0), (len(row) - 1) * HOP - 1)
    return Onset(
        start=start,
        likelihood=float(row[frame]),
        rank=float(row[frame]) + velocity - disturbed - repeated - other,
    )
