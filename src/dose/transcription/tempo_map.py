"""The tempo map of a MIDI file: ticks and seconds, tempo events, and where the bars begin.

Tick 0 is the beginning of the recording, so that file and audio line up when both are put at the start of a
project; every beat of the recording lies on a multiple of a beat's ticks from the first downbeat, and the
first downbeat on a bar line. The time before it is in general no whole number of bars, nor of beats:

- What is left of a bar there becomes a first bar of its own, with a shorter time signature (9/16 for two
  beats and a quarter), followed by whole bars.
- What is left of a beat there is written as the nearest number of sixteenths, at least one, with a tempo of
  its own that gives it its true length. Only a remainder shorter than SHORTEST is not worth such a bar: then
  the first bar begins with the file, and its first beat is longer by the remainder.
"""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from dose.transcription.grid import STEPS_PER_BEAT, beat_positions, seconds_at
from dose.transcription.hits import Rhythm

TICKS_PER_BEAT = 480
STEP_TICKS = TICKS_PER_BEAT // STEPS_PER_BEAT
DEFAULT_TEMPO = 120.0  # beats per minute, where there is no rhythm: also MIDI's own default
SHORTEST = 0.0156  # seconds: a sixteenth at 960 beats per minute; many sequencers end at 999
# Relative change of tempo from which on a beat gets a tempo event: a beat of 0.5 s is at most 2.5 ms off.
TEMPO_CHANGE = 0.005
MAX_TEMPO = 2**24 - 1  # microseconds per beat: the 24 bits of a tempo event


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeSignature:
    """Valid from `tick` on."""

    numerator: int
    denominator: int
    tick: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TempoMap:
    """Tempo events and time signatures of one file."""

    ticks: tuple[int, ...]  # of the tempo events: rising, the first is 0
    microseconds: tuple[int, ...]  # per beat, from each event on
    downbeat: int  # tick of the first downbeat; negative where it lies before the recording
    signatures: tuple[TimeSignature, ...]

    def ticks_at(self, seconds: Sequence[float] | np.ndarray) -> np.ndarray:
        """The nearest ticks [n] to moments [n] in seconds, none before 0; off by half a tick at most."""
        at = np.maximum(np.asarray(seconds, dtype=np.float64), 0)
        starts = self._starts()
        i = np.searchsorted(starts, at, side="right") - 1
        exact: np.ndarray = np.array(self.ticks)[i] + (at - starts[i]) / self._tick_seconds()[i]
        nearest: np.ndarray = np.rint(exact).astype(np.int64)
        return nearest

    def seconds_at(self, ticks: Sequence[int] | np.ndarray) -> np.ndarray:
        """When ticks [n], from 0 on, are played, in seconds."""
        at = np.asarray(ticks, dtype=np.int64)
        i = np.searchsorted(self.ticks, at, side="right") - 1
        out: np.ndarray = self._starts()[i] + (at - np.array(self.ticks)[i]) * self._tick_seconds()[i]
        return out

    def _tick_seconds(self) -> np.ndarray:
        return np.array(self.microseconds) * 1e-6 / TICKS_PER_BEAT

    def _starts(self) -> np.ndarray:
        """Seconds [events] at which the tempo events lie."""
        return np.concatenate([[0.0], np.cumsum(np.diff(self.ticks) * self._tick_seconds()[:-1])])


def fixed(tempo: float = DEFAULT_TEMPO, beats_per_bar: int = 4) -> TempoMap:
    """One tempo, in beats per minute, and bars from tick 0 on."""
    return TempoMap(
        ticks=(0,),
        microseconds=(_microseconds(60e6 / tempo),),
        downbeat=0,
        signatures=(TimeSignature(numerator=beats_per_bar, denominator=4, tick=0),),
    )


def follow(rhythm: Rhythm, seconds: float) -> TempoMap:
    """The tempo map of a recording of `seconds`: a tempo event at each beat where the tempo changes.

    Raises ValueError for a rhythm without rising beats.
    """
    # 1. The first beat of the grid in the recording, counted from the first downbeat, and what precedes it.
    start, end = (float(p) for p in beat_positions(rhythm, [0.0, seconds]))
    first = math.ceil(start - 1e-9)
    remainder = float(seconds_at(rhythm, [first])[0])  # seconds; 0 where the recording begins on a beat
    steps = max(1, round((first - start) * STEPS_PER_BEAT)) if remainder >= SHORTEST else 0
    lead = steps * STEP_TICKS

    # 2. Ticks that have their exact time: 0 and every beat. The first beat is not one of them where the
    # remainder is not worth a bar, because tick 0 is its place.
    last = max(len(rhythm.beats) - 1 - rhythm.first_downbeat, math.ceil(end), first + 1)
    beats = np.arange(first if steps else first + 1, last + 1)
    anchors = [0, *(lead + (beats - first) * TICKS_PER_BEAT).tolist()]
    times = [0.0, *seconds_at(rhythm, beats).tolist()]
    ticks, microseconds = _tempo_events(anchors, times)

    # 3. The bar lines: the first one in the recording, which is the first downbeat or whole bars from it.
    bar_line = math.ceil(first / rhythm.beats_per_bar) * rhythm.beats_per_bar
    pickup = steps + (bar_line - first) * STEPS_PER_BEAT  # steps
    return TempoMap(
        ticks=ticks,
        microseconds=microseconds,
        downbeat=lead - first * TICKS_PER_BEAT,
        signatures=_signatures(pickup, rhythm.beats_per_bar),
    )


def _tempo_events(anchors: list[int], times: list[float]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ticks and microseconds per beat of the tempo events that play tick anchors[i] at times[i] seconds."""
    ticks: list[int] = []
    microseconds: list[int] = []
    elapsed = 0.0  # microseconds, by the events so far
    for i in range(len(anchors) - 1):
        length = (anchors[i + 1] - anchors[i]) / TICKS_PER_BEAT
        # From where the events so far have led to: what rounding and changes too small for an event leave
        # over is made up for in the next beat, and does not add up.
        needed = (times[i + 1] * 1e6 - elapsed) / length
        if not microseconds or abs(needed / microseconds[-1] - 1) > TEMPO_CHANGE:
            ticks.append(anchors[i])
            microseconds.append(_microseconds(needed))
        elapsed += length * microseconds[-1]
    return tuple(ticks), tuple(microseconds)


def _signatures(pickup: int, beats_per_bar: int) -> tuple[TimeSignature, ...]:
    """Time signatures of a file whose first bar line lies `pickup` steps after its beginning."""
    regular = TimeSignature(numerator=beats_per_bar, denominator=4, tick=pickup * STEP_TICKS)
    if pickup in (0, beats_per_bar * STEPS_PER_BEAT):
        return (dataclasses.replace(regular, tick=0),)
    # In lowest terms, but not below quarters: 8/16 is 2/4.
    numerator, denominator = pickup, 4 * STEPS_PER_BEAT
    while numerator % 2 == 0 and denominator > 4:
        numerator, denominator = numerator // 2, denominator // 2
    return (TimeSignature(numerator=numerator, denominator=denominator, tick=0), regular)


def _microseconds(exact: float) -> int:
    return min(max(round(exact), 1), MAX_TEMPO)
