"""Short phrases for bass, piano, guitar and voice, as notes for a synthesiser.

A phrase is a function of (program, index): no program repeats the phrase of another, so the division of
programs among the splits divides the phrases too. Scales, progressions and probabilities were chosen by hand.
"""

import dataclasses

import numpy as np

SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 6, 7, 10, 12))
PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (5, 3, 0, 4), (0, 0, 3, 3), (1, 4, 0, 0))

# General MIDI programs, from 0, of each instrument class
PROGRAMS = {
    "bass": (32, 33, 34, 35, 36, 37, 38, 39),
    "piano": (0, 1, 2, 3, 4, 5, 6, 7),
    "guitar": (24, 25, 26, 27, 28, 29, 30, 31),
    "vocal": (52, 53, 54, 85, 91),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    start: float  # s
    seconds: float
    pitch: int  # MIDI
    velocity: int  # 1..127


def riff(cls: str, program: int, index: int, seconds: float) -> tuple[Note, ...]:
    """The phrase of a GM program and index; notes start within `seconds`."""
    # Counter-based, so one phrase can be made alone.
    rng = np.random.Generator(np.random.Philox(key=[program, index]))
    beat = 60 / rng.uniform(75, 150)
    scale = SCALES[rng.integers(len(SCALES))]
    chords = PROGRESSIONS[rng.integers(len(PROGRESSIONS))]
    tonic = int(rng.integers(0, 12))
    write = {"bass": _bass, "piano": _chords, "guitar": _strums, "vocal": _melody}[cls]
    notes = []
    bar = 0
    while bar * 2 * beat < seconds:  # a chord lasts two beats
        notes += write(rng, scale, chords[bar % 4], tonic, bar * 2 * beat, beat)
        bar += 1
    return tuple(n for n in notes if n.start < seconds)


def _pitch(scale: tuple[int, ...], degree: int, tonic: int, octave: int) -> int:
    return 12 * (octave + degree // 7) + tonic + scale[degree % 7]


def _velocity(rng: np.random.Generator) -> int:
    return int(rng.integers(70, 118))


def _bass(
    rng: np.random.Generator, scale: tuple[int, ...], chord: int, tonic: int, start: float, beat: float
) -> list[Note]:
    notes, step = [], beat / 2
    for i in range(4):
        if i and rng.random() < 0.25:
            continue
        degree = chord + int(rng.choice([0, 0, 0, 2, 4, 7]))
        notes.append(
            Note(
                start=start + i * step,
                seconds=step * rng.uniform(0.5, 1.0),
                pitch=_pitch(scale, degree, tonic, 2),
                velocity=_velocity(rng),
            )
        )
    return notes


def _chords(
    rng: np.random.Generator, scale: tuple[int, ...], chord: int, tonic: int, start: float, beat: float
) -> list[Note]:
    # A seventh or octave on top of the triad, broken or as a block.
    degrees = [chord, chord + 2, chord + 4, chord + int(rng.choice([6, 7]))]
    if rng.random() < 0.5:
        return [
            Note(
                start=start + i * beat / 2,
                seconds=beat * rng.uniform(0.4, 1.5),
                pitch=_pitch(scale, degrees[int(rng.permutation(4)[0])], tonic, int(rng.integers(4, 6))),
                velocity=_velocity(rng),
            )
            for i in range(4)
        ]
    velocity = _velocity(rng)
    return [
        Note(start=start, seconds=2 * beat * 0.9, pitch=_pitch(scale, d, tonic, 4), velocity=velocity)
        for d in degrees
    ]


def _strums(
    rng: np.random.Generator, scale: tuple[int, ...], chord: int, tonic: int, start: float, beat: float
) -> list[Note]:
    # An open voicing, picked note by note or strummed with 4 to 20 ms between the strings.
    degrees = [chord, chord + 4, chord + 7, chord + 9, chord + 11]
    if rng.random() < 0.4:
        return [
            Note(
                start=start + i * beat / 2,
                seconds=beat,
                pitch=_pitch(scale, degrees[int(rng.integers(5))], tonic, 3),
                velocity=_velocity(rng),
            )
            for i in range(4)
        ]
    notes = []
    for stroke in range(int(rng.integers(1, 4))):
        spread, velocity = rng.uniform(0.004, 0.02), _velocity(rng)
        order = degrees if stroke % 2 == 0 else degrees[::-1]
        notes += [
            Note(
                start=start + stroke * beat / 2 + i * spread,
                seconds=beat * 0.8,
                pitch=_pitch(scale, d, tonic, 3),
                velocity=velocity,
            )
            for i, d in enumerate(order)
        ]
    return notes


def _melody(
    rng: np.random.Generator, scale: tuple[int, ...], chord: int, tonic: int, start: float, beat: float
) -> list[Note]:
    # Rhythms of two beats.
    lengths = [(2.0,), (1.0, 1.0), (1.5, 0.5), (0.5, 0.5, 1.0)][int(rng.integers(4))]
    notes, at = [], start
    for length in lengths:
        degree = chord + int(rng.choice([0, 1, 2, 4]))
        notes.append(
            Note(
                start=at,
                seconds=length * beat * 0.95,
                pitch=_pitch(scale, degree, tonic, 4),
                velocity=_velocity(rng),
            )
        )
        at += length * beat
    return notes
