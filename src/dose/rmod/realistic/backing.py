"""What plays beside the drums: loops of the sample library, and synthetic parts that follow the groove.

The synthetic parts are there because loops know nothing of the groove: in music the bass is played with the
kick and chords change on beats, which is where a transcription goes wrong.
"""

import dataclasses
from typing import TYPE_CHECKING, Literal

import numpy as np

from dose.audio import RATE
from dose.drums import INSTRUMENTS
from dose.rmod.realistic.grooves import Groove

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

Waveform = Literal["sine", "saw", "square", "triangle"]
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 3, 5, 7, 10, 12, 15))
# Probabilities that a part plays; by hand: two to four parts in most mixes.
LOOP, BASS, CHORDS, ARPEGGIO = 0.5, 0.6, 0.45, 0.35
ON_KICKS = 0.6  # probability that a bass follows the kick, else eighths


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopPart:
    """A loop of the library from `start` samples on, repeated until the mix is full."""

    clip: str
    start: int
    semitones: float
    level_db: float  # RMS against the other parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class Note:
    seconds: float
    length: float  # seconds
    pitch: float  # MIDI
    velocity: float  # 0..1


@dataclasses.dataclass(frozen=True, kw_only=True)
class SynthPart:
    """Notes on a simple subtractive synthesiser."""

    notes: tuple[Note, ...]
    waveform: Waveform
    partials: int  # up to which the waveform goes: its brightness
    attack: float  # seconds
    decay: float  # seconds to a tenth
    level_db: float  # RMS against the other parts


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackingSpec:
    loops: tuple[LoopPart, ...]
    synths: tuple[SynthPart, ...]


def draw_backing(
    rng: np.random.Generator, library: "SampleLibrary", split: str, groove: Groove, seconds: float
) -> BackingSpec:
    """Parts for a groove; at least one."""
    loops: list[LoopPart] = []
    for cls in INSTRUMENTS:
        clips = library.select(cls, split)
        if clips and rng.random() < LOOP:
            clip = clips[int(rng.integers(len(clips)))]
            loops.append(
                LoopPart(
                    clip=clip.id,
                    start=int(rng.uniform(0, max(clip.seconds - 1, 0.01)) * RATE),
                    semitones=float(rng.integers(-4, 5)),
                    level_db=float(rng.uniform(-9, 3)),
                )
            )
    tonic, scale = int(rng.integers(0, 12)), SCALES[int(rng.integers(len(SCALES)))]
    chords = [int(rng.integers(0, 7)) for _ in range(4)]
    synths: list[SynthPart] = []
    if rng.random() < BASS:
        synths.append(_bass(rng, groove, seconds, tonic, scale, chords))
    if rng.random() < CHORDS:
        synths.append(_chords(rng, groove, seconds, tonic, scale, chords))
    if rng.random() < ARPEGGIO or not (loops or synths):
        synths.append(_arpeggio(rng, groove, seconds, tonic, scale, chords))
    return BackingSpec(loops=tuple(loops), synths=tuple(synths))


def draw_solo(
    rng: np.random.Generator, library: "SampleLibrary", split: str, seconds: float
) -> BackingSpec | None:
    """One loop of an instrument or a voice alone; None where the library has none."""
    clips = [c for cls in INSTRUMENTS for c in library.select(cls, split)]
    if not clips:
        return None
    # Voices, whose consonants are nearest to hi-hats, half of the time.
    voices = [c for c in clips if c.cls == "vocal"]
    pool = voices if voices and rng.random() < 0.5 else clips
    clip = pool[int(rng.integers(len(pool)))]
    part = LoopPart(
        clip=clip.id,
        start=int(rng.uniform(0, max(clip.seconds - 1, 0.01)) * RATE),
        semitones=float(rng.integers(-4, 5)),
        level_db=0.0,
    )
    return BackingSpec(loops=(part,), synths=())


def _pitch(tonic: int, scale: tuple[int, ...], degree: int, octave: int) -> int:
    return 12 * (octave + degree // 7) + tonic + scale[degree % 7]


def _chord_at(seconds: float, groove: Groove, chords: list[int]) -> int:
    """The degree of the chord at a time: one chord per bar."""
    bar = seconds * groove.tempo / 60 / groove.beats_per_bar
    return chords[int(max(bar, 0)) % len(chords)]


def _bass(
    rng: np.random.Generator,
    groove: Groove,
    seconds: float,
    tonic: int,
    scale: tuple[int, ...],
    chords: list[int],
) -> SynthPart:
    eighth = 30 / groove.tempo
    kicks = [h.seconds for h in groove.hits["kick"]]
    if kicks and rng.random() < ON_KICKS:
        starts = [t + float(rng.normal(0, 0.003)) for t in kicks if rng.random() < 0.9]
        starts += [t + eighth * int(rng.integers(1, 4)) for t in kicks if rng.random() < 0.25]
    else:
        starts = [b + k * eighth for b in groove.beats for k in range(2) if rng.random() < 0.75]
    starts = sorted(t for t in starts if 0 <= t < seconds)
    lengths = float(rng.uniform(0.3, 2.0)) * eighth
    notes = tuple(
        Note(
            seconds=t,
            length=lengths if rng.random() < 0.7 else 2 * lengths,
            pitch=_pitch(tonic, scale, _chord_at(t, groove, chords) + int(rng.choice([0, 0, 0, 2, 4])), 2),
            velocity=float(rng.uniform(0.6, 1)),
        )
        for t in starts
    )
    return SynthPart(
        notes=notes,
        waveform=_pick(rng, ("sine", "saw", "square", "triangle")),
        partials=int(rng.integers(1, 14)),
        attack=float(np.exp(rng.uniform(np.log(0.001), np.log(0.03)))),
        decay=float(np.exp(rng.uniform(np.log(0.15), np.log(3)))),
        level_db=float(rng.uniform(-3, 6)),
    )


def _chords(
    rng: np.random.Generator,
    groove: Groove,
    seconds: float,
    tonic: int,
    scale: tuple[int, ...],
    chords: list[int],
) -> SynthPart:
    """Stabs on beats or off-beats, or a chord held for a bar."""
    beat, held = 60 / groove.tempo, rng.random() < 0.5
    if held:
        starts = [b for i, b in enumerate(groove.beats) if i % groove.beats_per_bar == groove.first_downbeat]
    else:
        offset = float(rng.choice([0, 0.5])) * beat
        starts = [b + offset for b in groove.beats if rng.random() < 0.6]
    notes = []
    for t in [t for t in starts if t < seconds]:
        strum, degree = float(rng.uniform(0, 0.02)), _chord_at(t, groove, chords)
        for i, step in enumerate((0, 2, 4)):
            pitch = _pitch(tonic, scale, degree + step, 4)
            length = beat * (groove.beats_per_bar if held else 0.7)
            notes.append(
                Note(seconds=t + i * strum, length=length, pitch=pitch, velocity=float(rng.uniform(0.6, 1)))
            )
    return SynthPart(
        notes=tuple(notes),
        waveform=_pick(rng, ("saw", "square", "triangle")),
        partials=int(rng.integers(3, 30)),
        attack=float(np.exp(rng.uniform(np.log(0.002), np.log(0.25)))),
        decay=float(np.exp(rng.uniform(np.log(0.2), np.log(6)))),
        level_db=float(rng.uniform(-6, 3)),
    )


def _arpeggio(
    rng: np.random.Generator,
    groove: Groove,
    seconds: float,
    tonic: int,
    scale: tuple[int, ...],
    chords: list[int],
) -> SynthPart:
    """Plucked notes on eighths or sixteenths."""
    step = 60 / groove.tempo / int(rng.choice([2, 4]))
    octave = int(rng.integers(4, 7))
    starts = [t for t in np.arange(float(rng.uniform(0, step)), seconds, step) if rng.random() < 0.75]
    notes = tuple(
        Note(
            seconds=float(t),
            length=step * float(rng.uniform(0.5, 2)),
            pitch=_pitch(tonic, scale, _chord_at(t, groove, chords) + int(rng.choice([0, 2, 4, 7])), octave),
            velocity=float(rng.uniform(0.4, 1)),
        )
        for t in starts
    )
    return SynthPart(
        notes=notes,
        waveform=_pick(rng, ("sine", "saw", "square", "triangle")),
        partials=int(rng.integers(1, 20)),
        attack=float(np.exp(rng.uniform(np.log(0.001), np.log(0.02)))),
        decay=float(np.exp(rng.uniform(np.log(0.08), np.log(1)))),
        level_db=float(rng.uniform(-10, 2)),
    )


def _pick(rng: np.random.Generator, options: tuple[Waveform, ...]) -> Waveform:
    return options[int(rng.integers(len(options)))]


def render_backing(spec: BackingSpec, library: "SampleLibrary", samples: int) -> np.ndarray:
    """The parts' sum, float32 [samples]; each part has an RMS of 1 before its level."""
    out = np.zeros(samples, np.float32)
    for loop in spec.loops:
        out += _levelled(_loop(loop, library, samples), loop.level_db)
    for part in spec.synths:
        out += _levelled(_synth(part, samples), part.level_db)
    return out


def _levelled(sound: np.ndarray, level_db: float) -> np.ndarray:
    rms = float(np.sqrt(np.mean(sound**2)))
    scaled: np.ndarray = sound * np.float32(10 ** (level_db / 20) / rms) if rms > 1e-6 else sound
    return scaled


def _loop(loop: LoopPart, library: "SampleLibrary", samples: int) -> np.ndarray:
    import soxr

    sound = library.audio(loop.clip, loop.start, loop.start + 2 * samples)
    if loop.semitones:
        sound = soxr.resample(sound, RATE * 2 ** (loop.semitones / 12), RATE, quality="QQ")
    return np.resize(sound, samples) if len(sound) else np.zeros(samples, np.float32)


def _synth(part: SynthPart, samples: int) -> np.ndarray:
    """Each note is a sum of harmonics, read from a table of one period."""
    table = _table(part.waveform, part.partials)
    out = np.zeros(samples, np.float32)
    for note in part.notes:
        start = int(note.seconds * RATE)
        count = min(int((note.length + 0.03) * RATE), samples - start)
        if count <= 0 or start < 0:
            continue
        n = np.arange(count, dtype=np.float32)
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        # float64 phase: a float32 one drifts within a second.
        phase = (np.arange(count) * (hz / RATE * len(table))).astype(np.int64) % len(table)
        envelope = np.exp(-np.log(10) / (part.decay * RATE) * n) * np.minimum(1, n / (part.attack * RATE))
        envelope *= np.minimum(1, (count - n) / (0.03 * RATE))  # release: 30 ms
        out[start : start + count] += np.float32(note.velocity) * table[phase] * envelope
    return out


def _table(waveform: Waveform, partials: int) -> np.ndarray:
    """One period of 2,048 samples with harmonics 1 .. partials, float32, peak 1."""
    x = np.arange(2048) * (2 * np.pi / 2048)
    if waveform == "sine":
        partials = 1
    out = np.zeros(2048)
    for k in range(1, partials + 1):
        if waveform in ("square", "triangle") and k % 2 == 0:
            continue
        out += np.sin(k * x) / (k * k if waveform == "triangle" else k)
    table: np.ndarray = (out / np.abs(out).max()).astype(np.float32)
    return table
