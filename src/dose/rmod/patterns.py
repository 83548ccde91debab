"""Hits of human performances for the groove test set, and MIDI files of any mix."""

import csv
import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtri

from dose.audio import RATE
from dose.drums import DRUMS, INSTRUMENTS, MIX_SECONDS
from dose.errors import DoseError, MissingInputError
from dose.rmod.mix_spec import MixSpec
from dose.rmod.rng import HITS

STAND_IN = "groove-like, not GMD"
MIX = int(MIX_SECONDS * RATE)

# General MIDI notes, and those that the Groove MIDI Dataset's Roland kit adds.
NOTES = {
    "kick": {35, 36},
    "snare": {37, 38, 40},
    "hihat": {22, 26, 42, 44, 46},
}
GM_NOTE = {"kick": 36, "snare": 38, "hihat": 42}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pattern:
    """Onsets in samples, rising, and velocities 1..127, of each drum in one 4 s window."""

    name: str
    onsets: dict[str, tuple[int, ...]]
    velocities: dict[str, tuple[int, ...]]


def groove_pattern(folder: str | None, u: np.ndarray) -> Pattern:
    """One window of a performance in `folder`, or of the stand-in: a pure function of u [WIDTH] in [0, 1)."""
    if folder is None:
        return _stand_in(u)
    windows = performances(folder)
    return windows[int(u[0] * len(windows))]


@functools.lru_cache(maxsize=2)
def performances(folder: str) -> tuple[Pattern, ...]:
    """Every 4 s window, a second apart, that has all three drums, of the test performances in `folder`.

    With the data set's own info.csv only its test split is used, without it every MIDI file. Raises
    MissingInputError when there is none.
    """
    root = Path(folder)
    files = _listed(root) or sorted((*root.rglob("*.mid"), *root.rglob("*.midi")))
    # Files in a fixed order, since a window is chosen by its position in the list.
    windows: list[Pattern] = []
    for path in files:
        windows += _windows(path, path.relative_to(root).as_posix())
    if not windows:
        raise MissingInputError(
            f"{folder} holds no MIDI performance of 4 s with kick, snare and hi-hat; unpack the Groove MIDI "
            "Dataset there or set rmod.groove.folder to null for the stand-in."
        )
    return tuple(windows)


def _listed(root: Path) -> list[Path]:
    if not (root / "info.csv").is_file():
        return []
    with open(root / "info.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r.get("split") == "test"]
    return sorted(p for r in rows if (p := root / (r.get("midi_filename") or "")).is_file())


def _windows(path: Path, name: str) -> list[Pattern]:
    import miditoolkit

    try:
        midi = miditoolkit.MidiFile(str(path))
        seconds = midi.get_tick_to_time_mapping()
        notes = [(float(seconds[n.start]), n.pitch, n.velocity) for t in midi.instruments for n in t.notes]
    except (OSError, ValueError, KeyError, EOFError, IndexError) as e:
        raise DoseError(f"{path} is not a MIDI file that can be read ({e}); remove it.") from e
    end = max((t for t, _, _ in notes), default=0.0)
    found = []
    for start in range(max(int(end - MIX_SECONDS) + 1, 1)):
        # Hits of this window, relative to its start.
        inside = [(t - start, p, v) for t, p, v in notes if start <= t < start + MIX_SECONDS]
        hits = {d: [(round(t * RATE), v) for t, p, v in inside if p in NOTES[d]] for d in DRUMS}
        if all(hits.values()):
            found.append(_pattern(f"{name} @ {start} s", hits))
    return found


def _pattern(name: str, hits: dict[str, list[tuple[int, int]]]) -> Pattern:
    """A pattern of sorted hits inside the window: the loudest where two coincide, at most 64 per drum."""
    hits_of = {}
    for drum, pairs in hits.items():
        # Several MIDI notes stand for one drum (NOTES), so two notes of one drum may coincide.
        loudest: dict[int, int] = {}
        for onset, velocity in pairs:
            onset = min(max(onset, 0), MIX - 1)
            loudest[onset] = max(velocity, loudest.get(onset, 1))
        hits_of[drum] = sorted(loudest.items())[:HITS]
    return Pattern(
        name=name,
        onsets={d: tuple(o for o, _ in hits_of[d]) for d in DRUMS},
        velocities={d: tuple(v for _, v in hits_of[d]) for d in DRUMS},
    )


# The stand-in's material and all its constants below were written by hand.
# One bar of sixteenths: x accented, o played, . ghosted (snare) or often left out (kick), - rest.
_KICKS = ("x-----o-x-------", "x--o--o-x--.----", "x---o---x---o---", "x-.---o---o-x---", "x-------x-o----.")
_SNARES = ("----x-------x---", "----x--.-.--x---", "--.-x-.----.x--.", "--------x-------", "----x--o----x-o-")
_HATS = ("x-o-x-o-x-o-x-o-", "xooo" * 4, "x-ooo-oox-ooo-oo", "o-x-o-x-o-x-o-x-", "x---x---x---x-o-")
_JITTER_MS = {"kick": 4.0, "snare": 3.0, "hihat": 2.0}  # random timing, one standard deviation


def _stand_in(u: np.ndarray) -> Pattern:
    """A bar of _KICKS, _SNARES and _HATS with human-like timing and velocity: swing, delay by drum, accents.

    Not the Groove MIDI Dataset and never called so; it has the same kinds of structure (timing that depends
    on the metrical place and on the drum, velocity that follows accents), not the same statistics.
    """
    # 1. The performance: tempo of 80 to 140, swing, one bar per drum, and a constant delay of each drum (s).
    sixteenth = 60 / (80 + 60 * u[0]) / 4
    swing = 0.33 * max(0.0, 2 * u[1] - 1) * sixteenth  # half of all performances are straight
    bars = {
        drum: choices[int(u[2 + i] * len(choices))]
        for i, (drum, choices) in enumerate(zip(DRUMS, (_KICKS, _SNARES, _HATS), strict=True))
    }
    delay = {"kick": 0.0, "snare": -0.004 + 0.018 * u[5], "hihat": -0.008 + 0.012 * u[6]}
    phase = int(u[7] * 16)  # the window opens anywhere in the bar
    # 2. Each sixteenth of the window, with one random number per drum and step for omission and jitter.
    steps = int(MIX_SECONDS / sixteenth)
    hits: dict[str, list[tuple[int, int]]] = {d: [] for d in DRUMS}
    for i, drum in enumerate(DRUMS):
        chance = u[8 + 60 * i : 8 + 60 * (i + 1)]
        for step in range(steps):
            mark = bars[drum][(step + phase) % 16]
            r = chance[step % 60]
            if mark == "-" or (mark == "." and drum == "kick" and r < 0.5):
                continue
            place = (step + phase) % 4
            accent = {"x": 108, "o": 84, ".": 42}[mark] + (6 if place == 0 else 0)
            jitter = float(ndtri(min(max(r, 1e-6), 1 - 1e-6)))
            late = swing * (place % 2) + delay[drum] + 1e-3 * _JITTER_MS[drum] * jitter
            velocity = round(min(max(accent + 7 * float(np.sin(37.0 * r)), 1), 127))
            hits[drum].append((round((step * sixteenth + max(late, -step * sixteenth)) * RATE), velocity))
        if not hits[drum]:
            hits[drum] = [(round(4 * sixteenth * RATE), 100)]
    return _pattern(STAND_IN, hits)


def write_midi(spec: MixSpec, path: Path) -> None:
    """Writes the hits as a MIDI file: 120 beats per minute, 960 ticks per beat (4 per grid point).

    Instruments have no notes; each one that plays is a marker with its clip and transposition.
    """
    import miditoolkit

    # Sample positions to ticks.
    ticks = 1920 / RATE  # 960 ticks a beat, two beats a second
    midi = miditoolkit.MidiFile(ticks_per_beat=960)
    midi.tempo_changes = [miditoolkit.TempoChange(120, 0)]
    track = miditoolkit.Instrument(program=0, is_drum=True, name="drums")
    for name, drum in spec.drums.items():
        ends = (*drum.onsets[1:], MIX)
        for onset, end, velocity in zip(drum.onsets, ends, drum.velocities, strict=True):
            stop = max(round(min(end, onset + RATE) * ticks), round(onset * ticks) + 1)
            track.notes.append(_note(miditoolkit, velocity, GM_NOTE[name], round(onset * ticks), stop))
    midi.instruments.append(track)
    midi.markers = [
        miditoolkit.Marker(f"{name} {loop.clip} {loop.semitones:+d}", 0)
        for name in INSTRUMENTS
        if (loop := spec.loops.get(name)) is not None
    ]
    midi.dump(str(path))


def _note(miditoolkit: Any, velocity: int, pitch: int, start: int, end: int) -> Any:
    return miditoolkit.Note(velocity=velocity, pitch=pitch, start=start, end=end)
