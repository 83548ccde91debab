"""The beat grid of a rhythm: seconds to beats and back, and quantisation of hits to sixteenths.

Positions are counted in beats from the first downbeat: 0 is the first downbeat, -1 the beat before it, and
0.25 the sixteenth after it.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from dose.transcription.hits import HIT_CLASSES, Hit, Rhythm

STEPS_PER_BEAT = 4  # sixteenths


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantisedHit:
    """A hit and the step of the sixteenth grid that it belongs to."""

    step: int  # sixteenths from the first downbeat; negative before it
    hit: Hit  # as detected: its seconds are not changed


def beat_positions(rhythm: Rhythm, seconds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Positions [n] in beats from the first downbeat of moments [n] in seconds, linear between two beats.

    Before the first and after the last beat the grid goes on with the length of the nearest beat. Raises
    ValueError for a rhythm without beats, or whose beats do not rise.
    """
    beats, before, after = _beats(rhythm)
    at = np.asarray(seconds, dtype=np.float64)
    out: np.ndarray = np.interp(at, beats, np.arange(len(beats), dtype=np.float64))
    # np.interp holds the end values outside; there the neighbouring beat's length applies.
    out = np.where(at < beats[0], (at - beats[0]) / before, out)
    out = np.where(at > beats[-1], len(beats) - 1 + (at - beats[-1]) / after, out)
    return out - rhythm.first_downbeat


def seconds_at(rhythm: Rhythm, positions: Sequence[float] | np.ndarray) -> np.ndarray:
    """Seconds [n] of positions [n] in beats from the first downbeat: the inverse of `beat_positions`."""
    beats, before, after = _beats(rhythm)
    at = np.asarray(positions, dtype=np.float64) + rhythm.first_downbeat
    last = len(beats) - 1
    out: np.ndarray = np.interp(at, np.arange(len(beats), dtype=np.float64), beats)
    out = np.where(at < 0, beats[0] + at * before, out)
    return np.where(at > last, beats[-1] + (at - last) * after, out)


def straighten(positions: np.ndarray, swing: float, swing_subdivision: int) -> np.ndarray:
    """Positions [n] in beats with swing undone: late subdivisions move to the straight grid.

    Two subdivisions make a pair. What lies before the late one is compressed and what follows it stretched,
    so that the order of hits is kept: with triplet swing (1/3) of eighths, 2/3 of a beat becomes 1/2, and 1/3
    becomes 1/4. Raises ValueError for a swing that would move a subdivision onto the next one.
    """
    played, straight = _pair(swing, swing_subdivision)
    within = positions % straight[-1]
    return positions - within + np.interp(within, played, straight)


def apply_swing(positions: np.ndarray, swing: float, swing_subdivision: int) -> np.ndarray:
    """Positions [n] of the straight grid where they are played with swing: the inverse of `straighten`."""
    played, straight = _pair(swing, swing_subdivision)
    within = positions % straight[-1]
    return positions - within + np.interp(within, straight, played)


def quantise(hits: Iterable[Hit], rhythm: Rhythm) -> list[QuantisedHit]:
    """Each hit on the nearest step of the straight sixteenth grid, by step and then in order of HIT_CLASSES.

    The song's swing is undone first: a late eighth or sixteenth is counted on the step that it is the late
    form of, and the delay is not kept. Of two hits of one class on one step the louder stays, of equally loud
    ones the earlier.
    """
    ordered = sorted(hits, key=lambda hit: hit.seconds)
    played = beat_positions(rhythm, [hit.seconds for hit in ordered])
    positions = straighten(played, rhythm.swing, rhythm.swing_subdivision)
    # Halves round up: np.rint would round them to the even step.
    steps = np.floor(positions * STEPS_PER_BEAT + 0.5).astype(int)
    loudest: dict[tuple[int, int], Hit] = {}
    for step, hit in zip(steps.tolist(), ordered, strict=True):
        place = (step, HIT_CLASSES.index(hit.drum))
        if place not in loudest or hit.velocity > loudest[place].velocity:
            loudest[place] = hit
    return [
        QuantisedHit(step=step, hit=hit) for (step, _), hit in sorted(loudest.items(), key=lambda i: i[0])
    ]


def _pair(swing: float, swing_subdivision: int) -> tuple[list[float], list[float]]:
    """Beginning, middle and end of a pair of subdivisions in beats, as played and straight."""
    if not -1 < swing < 1:
        raise ValueError(f"swing is {swing}, and not between -1 and 1")
    one = 1 / swing_subdivision
    return [0, one * (1 + swing), 2 * one], [0, one, 2 * one]


def _beats(rhythm: Rhythm) -> tuple[np.ndarray, float, float]:
    """Beats [n] in seconds, and the beat lengths before the first and after the last."""
    beats = np.asarray(rhythm.beats, dtype=np.float64)
    lengths = np.diff(beats)
    if len(beats) == 0 or (lengths <= 0).any():
        raise ValueError("a rhythm needs one beat or more, in rising order")
    if len(beats) == 1:  # no neighbouring beat: the tempo gives its length
        return beats, 60 / rhythm.tempo, 60 / rhythm.tempo
    return beats, float(lengths[0]), float(lengths[-1])
