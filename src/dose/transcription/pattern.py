"""The typical bar of a recording: the one of its own bars that differs least from all the others."""

import dataclasses
from typing import Any

import numpy as np

from dose.transcription.grid import STEPS_PER_BEAT, QuantisedHit, beat_positions, quantise, seconds_at
from dose.transcription.hits import HIT_CLASSES, Rhythm, Transcription

# Of a hit that only one of two bars has; chosen by hand. Kick and snare make the pattern. Hi-hats are
# the most frequent, and would outvote both; toms and cymbals mark fills and the beginnings of sections.
CLASS_WEIGHTS = {
    "kick": 1.0, "snare": 1.0, "closed_hihat": 0.5, "open_hihat": 0.5, "clap": 1.0, "tom": 0.5, "cymbal": 0.5,
}  # fmt: skip
# Of the greatest difference in velocity of a hit that both bars have: less than that of a missing hit.
VELOCITY_WEIGHT = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pattern:
    """One bar on the straight sixteenth grid, with the tempo and the swing to play it with."""

    steps_per_beat: int = STEPS_PER_BEAT
    beats_per_bar: int
    tempo: float  # beats per minute, of the whole recording
    swing: float  # as in `Rhythm`: the velocities stand on the straight grid, without it
    swing_subdivision: int
    start: float  # seconds: where the bar begins in the recording; negative if the recording begins inside it
    # Each of HIT_CLASSES -> one velocity per step of the bar: 1..127, 0 where it is not hit.
    velocities: dict[str, tuple[int, ...]]

    @property
    def steps(self) -> int:
        return self.steps_per_beat * self.beats_per_bar


def typical_bar(transcription: Transcription) -> Pattern | None:
    """The medoid of the recording's bars, the earliest of equals; None without a rhythm or without hits.

    Bars without hits are ignored. Bars that the recording's beginning or end cuts are used only when no other
    bar has hits. The distance of two bars is the sum over all classes and steps of `CLASS_WEIGHTS` where one
    of them has a hit (a weighted Hamming distance), and of up to VELOCITY_WEIGHT of that where both have.
    """
    rhythm = transcription.rhythm
    if rhythm is None or not transcription.hits:
        return None
    steps = STEPS_PER_BEAT * rhythm.beats_per_bar
    bars: dict[int, list[QuantisedHit]] = {}
    for quantised in quantise(transcription.hits, rhythm):
        bars.setdefault(quantised.step // steps, []).append(quantised)
    whole = {bar: hits for bar, hits in bars.items() if _is_whole(bar, rhythm, transcription.seconds)}
    numbers = sorted(whole or bars)
    grids = np.zeros((len(numbers), len(HIT_CLASSES), steps), dtype=np.int64)  # velocities
    for grid, number in zip(grids, numbers, strict=True):
        for quantised in bars[number]:
            grid[HIT_CLASSES.index(quantised.hit.drum), quantised.step % steps] = quantised.hit.velocity
    # argmin gives the first of equals; rounding keeps sums in another order from deciding between them.
    best = int(np.argmin(np.round(_distances(grids).sum(axis=1), 9)))
    start = seconds_at(rhythm, [numbers[best] * rhythm.beats_per_bar])[0]
    return Pattern(
        beats_per_bar=rhythm.beats_per_bar,
        tempo=rhythm.tempo,
        swing=rhythm.swing,
        swing_subdivision=rhythm.swing_subdivision,
        start=float(start),
        velocities={name: tuple(row.tolist()) for name, row in zip(HIT_CLASSES, grids[best], strict=True)},
    )


def groove_facts(transcription: Transcription | None) -> dict[str, Any] | None:
    """A transcription for JSON: times in seconds, velocities 1..127; None for None.

    Without a rhythm `hits` is all there is: `beats` is empty, and what else depends on the rhythm is None.
    """
    if transcription is None:
        return None
    rhythm, pattern = transcription.rhythm, typical_bar(transcription)
    return {
        "tempo": rhythm and round(rhythm.tempo, 2),
        "beats_per_bar": rhythm and rhythm.beats_per_bar,
        "swing": rhythm and round(rhythm.swing, 3),
        "swing_subdivision": rhythm and rhythm.swing_subdivision,
        "first_downbeat": rhythm and rhythm.first_downbeat,  # index among `beats`
        "beats": [round(beat, 4) for beat in rhythm.beats] if rhythm else [],
        "hits": [
            {
                "time": round(hit.seconds, 4),
                "drum": hit.drum,
                "velocity": hit.velocity,
                "probability": round(hit.probability, 3),
            }
            for hit in transcription.hits
        ],
        "pattern": pattern
        and {
            "steps_per_beat": pattern.steps_per_beat,
            "start": round(pattern.start, 4),
            "velocities": {name: list(row) for name, row in pattern.velocities.items()},
        },
    }


def _is_whole(bar: int, rhythm: Rhythm, seconds: float) -> bool:
    """Whether the recording holds all of a bar, to within half a step (loops are rarely cut exactly)."""
    first, last = beat_positions(rhythm, [0.0, seconds])
    tolerance = 0.5 / STEPS_PER_BEAT
    begins, ends = bar * rhythm.beats_per_bar, (bar + 1) * rhythm.beats_per_bar
    return bool(begins >= first - tolerance and ends <= last + tolerance)


def _distances(grids: np.ndarray) -> np.ndarray:
    """Distances [bars, bars] of velocities [bars, classes, steps]."""
    weights = np.array([CLASS_WEIGHTS[name] for name in HIT_CLASSES])[:, None]
    out = np.zeros((len(grids), len(grids)))
    for i, grid in enumerate(grids):  # bar by bar: all pairs at once would need gigabytes for a long mix
        one_only = (grids > 0) != (grid > 0)  # [bars, classes, steps]
        louder = VELOCITY_WEIGHT * np.abs(grids - grid) / 127
        out[i] = (weights * np.where(one_only, 1.0, louder)).sum(axis=(1, 2))
    return out
