"""Sounds without drums, in which a hit is false, and single drums alone, which must be named right.

All of them are a pure function of the sample library and their number.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import DRUMS, INSTRUMENTS
from dose.errors import MissingInputError
from dose.rmod.realistic.interference import Interference, render_interference

if TYPE_CHECKING:
    from dose.sources.library import Clip, SampleLibrary

SECONDS = 5.0
SAMPLES = int(SECONDS * RATE)
# Half of the sounds are music, a fifth is speech, as what users upload; the rest finds faults of a detector.
QUOTAS = {
    "music": 0.5, "speech": 0.2, "tone": 0.07, "sweep": 0.05, "white": 0.03, "pink": 0.03, "brown": 0.03,
    "applause": 0.05, "offset": 0.02, "silence": 0.02,
}  # fmt: skip
FADE = 0.05  # seconds: a tone that starts at once is a click, and a click is a hit
SEAM = 0.02  # seconds: the same where a loop is repeated
LEVELS_DB = (-26.0, -1.0)  # peak
# eSpeak NG's voices, those that are not in training mixes (`sources.splits.VOICES`).
SPEAKERS = ("f2", "f4", "m3", "m7", "Andy")
WORDS = (
    "yesterday", "people", "table", "together", "kitchen", "paper", "ticket", "because", "seventeen",
    "chocolate", "question", "department", "perhaps", "basket", "thank", "captain", "october", "capital",
)  # fmt: skip
PAUSES = (0.02, 0.3)  # seconds between words

DISTANCE = 0.5  # seconds between the hits of a single drum
VELOCITIES = (40, 127)
VELOCITY_POWER = 1.5  # amplitude = (velocity / 127) ** power: between linear and square, as samplers have it


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumFree:
    """A sound in which no drum is hit."""

    name: str
    kind: str  # a key of QUOTAS, or the instrument
    audio: np.ndarray  # float32 [SAMPLES]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleDrum:
    """One drum alone."""

    name: str
    drum: str  # of DRUMS
    audio: np.ndarray  # float32 [SAMPLES]
    seconds: np.ndarray  # [N]: its hits
    velocities: np.ndarray  # [N]


def drum_free(library: "SampleLibrary", split: str, count: int) -> Iterator[DrumFree]:
    """`count` sounds, each kind by its share of QUOTAS; music is of the split's loops.

    Where eSpeak NG is not installed, its share is syllables of moving formants. Raises MissingInputError
    where the split has no loops.
    """
    loops = [(name, library.select(name, split)) for name in INSTRUMENTS]
    loops = [(name, clips) for name, clips in loops if clips]
    if not loops:
        raise MissingInputError(f"The sample library has no loops in its split '{split}'.")
    made = dict.fromkeys(QUOTAS, 0)
    for index in range(count):
        rng = np.random.default_rng([index, 20])
        # The kind that is farthest behind its share: every prefix of the set has about the same composition.
        kind = max(QUOTAS, key=lambda k: QUOTAS[k] * (index + 1) - made[k])
        number, made[kind] = made[kind], made[kind] + 1
        label = kind
        if kind == "music":
            label, clips = loops[number % len(loops)]
            sound = _loop(library, clips, number // len(loops), rng)
        elif kind == "speech":
            sound = _speech(number, rng)
        else:
            sound = MAKERS[kind](rng)
        yield DrumFree(name=f"{index:04d}-{label}", kind=label, audio=_placed(sound, kind, rng))


def single_drums(library: "SampleLibrary", split: str, count: int) -> Iterator[SingleDrum]:
    """`count` sounds of kick, snare and hi-hat by turns: a one-shot every half second, or once.

    Every fourth sound of a drum has a single hit. Raises MissingInputError where the split lacks a drum.
    """
    for index in range(count):
        rng = np.random.default_rng([index, 21])
        drum = DRUMS[index % len(DRUMS)]
        clips = library.select(drum, split)
        if not clips:
            raise MissingInputError(f"The sample library has no {drum} in its split '{split}'.")
        number = index // len(DRUMS)
        clip = clips[number * 7919 % len(clips)]  # a prime: neighbours in the index are often alike
        once = number % 4 == 3
        times = (
            np.array([rng.uniform(0.3, SECONDS - 1)]) if once else np.arange(0.25, SECONDS - 0.2, DISTANCE)
        )
        velocities = rng.integers(*VELOCITIES, len(times), endpoint=True)
        sound = np.zeros(SAMPLES, np.float32)
        shot = audio.normalise_peak(library.audio(clip.id))
        for at, velocity in zip((times * RATE).astype(int), velocities, strict=True):
            piece = shot[: SAMPLES - at]
            sound[at : at + len(piece)] += piece * np.float32((velocity / 127) ** VELOCITY_POWER)
        yield SingleDrum(
            name=f"{index:04d}-{drum}-{'once' if once else 'repeated'}",
            drum=drum,
            audio=audio.normalise_peak(sound, float(rng.uniform(*LEVELS_DB))),
            seconds=times,
            velocities=velocities,
        )


def _loop(
    library: "SampleLibrary", clips: "tuple[Clip, ...]", number: int, rng: np.random.Generator
) -> np.ndarray:
    """A piece of a loop; the loop is repeated where it is shorter. Later rounds take other places."""
    sound = _faded(library.audio(clips[number % len(clips)].id), SEAM)
    start = int(rng.integers(len(sound))) if number >= len(clips) or len(sound) > SAMPLES else 0
    return np.tile(sound, -(-(SAMPLES + start) // len(sound)))[start : start + SAMPLES]


def _speech(number: int, rng: np.random.Generator) -> np.ndarray:
    """Words in random order by one of SPEAKERS, with pauses."""
    from dose.sources.synth.voice import speak

    try:
        spoken = speak(SPEAKERS[number % len(SPEAKERS)], WORDS)
    except MissingInputError:
        return _interference("syllables")(rng)
    pieces: list[np.ndarray] = []
    while sum(map(len, pieces)) < SAMPLES:
        word = spoken.sounds[int(rng.integers(len(spoken.sounds)))]
        pieces += [audio.resample(word.astype(np.float32), spoken.rate, RATE)]
        pieces += [np.zeros(int(rng.uniform(*PAUSES) * RATE), np.float32)]
    return np.concatenate(pieces)[:SAMPLES]


def _interference(kind: str) -> Callable[[np.random.Generator], np.ndarray]:
    """A maker of the realistic distribution's own kind of sound, from a seed of its own."""
    return lambda rng: render_interference(Interference(kind=kind, seed=int(rng.integers(2**31))), SAMPLES)


def _brown(rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 6 dB per octave above 20 Hz."""
    hz = np.maximum(np.fft.rfftfreq(SAMPLES, 1 / RATE), 20)
    out: np.ndarray = np.fft.irfft(np.fft.rfft(rng.standard_normal(SAMPLES)) / hz, SAMPLES)
    return out


MAKERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    **{kind: _interference(kind) for kind in ("tone", "sweep", "white", "pink", "applause", "offset")},
    "brown": _brown,
    "silence": lambda rng: 1e-5 * rng.standard_normal(SAMPLES),  # -100 dBFS: the noise of a quiet recording
}


def _placed(sound: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    """Faded in and out, at a random level; what is below -80 dBFS stays as it is."""
    # A constant that is faded in would be a thump at 10 Hz; left alone, nothing happens in it.
    sound = np.asarray(sound, np.float32) if kind == "offset" else _faded(sound, FADE)
    level = float(rng.uniform(*LEVELS_DB))
    return sound if audio.peak(sound) < 1e-4 else audio.normalise_peak(sound, level)


def _faded(sound: np.ndarray, seconds: float) -> np.ndarray:
    """A copy, float32 [N], with both ends faded to zero."""
    out = np.array(sound, np.float32)
    ramp = np.sin(np.linspace(0, np.pi / 2, min(int(seconds * RATE), len(out) // 2))) ** 2
    if len(ramp):
        out[: len(ramp)] *= ramp
        out[-len(ramp) :] *= ramp[::-1]
    return out
