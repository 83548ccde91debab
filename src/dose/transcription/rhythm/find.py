"""Tempo, beats, metre and swing, from drum hits alone.

`pulse` finds a grid that follows the tempo, `metre` decides which multiple of it is the beat and where bars
begin, `swing` how late the off-beats are.
"""

from collections.abc import Sequence

import numpy as np

from dose.transcription.hits import Hit, Rhythm
from dose.transcription.rhythm.metre import best_candidate
from dose.transcription.rhythm.pulse import loudness, position_in
from dose.transcription.rhythm.swing import find_swing

MIN_HITS = 4  # fewer hits than beats of one bar define no rhythm
MIN_SPAN = 0.9  # seconds between first and last hit: three beats at 200 BPM


def find_rhythm(hits: Sequence[Hit], seconds: float) -> Rhythm | None:
    """The rhythm of `hits`, in any order, in a recording of `seconds`; None where too few hits define one.

    Time and memory grow linearly with the length. Raises ValueError unless `seconds` is positive and finite.
    """
    if not (np.isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds must be positive and finite, not {seconds}")
    hits = sorted((hit for hit in hits if 0 <= hit.seconds <= seconds), key=lambda hit: hit.seconds)
    if len(hits) < MIN_HITS or hits[-1].seconds - hits[0].seconds < MIN_SPAN:
        return None
    found = best_candidate(hits, seconds)
    if found is None:
        return None
    # Beats clipped to the recording's ends would spoil the median of a short one: the candidate's own tempo.
    position = position_in(found.beats, np.array([hit.seconds for hit in hits]))
    swing = find_swing(position, loudness(hits), found.tempo)
    return Rhythm(
        tempo=found.tempo,
        beats=tuple(np.clip(found.beats, 0, seconds).tolist()),
        beats_per_bar=found.beats_per_bar,
        first_downbeat=found.first_downbeat,
        swing=swing.amount,
        swing_subdivision=swing.subdivision,
    )
