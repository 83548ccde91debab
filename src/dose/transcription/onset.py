"""A hit that was chosen to condition a model."""

import dataclasses
from collections.abc import Iterable

from dose.dsp.bands import RATE

MIN_DISTANCE = 0.06  # seconds between two onsets of one drum that are both given back; chosen by hand


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onset:
    """One chosen hit of one drum."""

    start: int  # sample in the mix
    likelihood: float  # 0..1: its probability
    rank: float  # the probability, less what disturbs it; onsets are chosen in this order


def best(onsets: Iterable[Onset], count: int) -> list[Onset]:
    """The `count` onsets of highest rank, best first, no two of them within MIN_DISTANCE.

    Non-maximum suppression in time: nothing near an onset that was chosen before.
    """
    chosen: list[Onset] = []
    for onset in sorted(onsets, key=lambda onset: (-onset.rank, onset.start)):
        if len(chosen) == count:
            break
        if all(abs(onset.start - other.start) >= MIN_DISTANCE * RATE for other in chosen):
            chosen.append(onset)
    return chosen
