"""A synthetic singer: eSpeak NG speaks syllables, the WORLD vocoder resynthesises them on a melody.

Both come from Python packages (espeakng-loader, pyworld), so no sound is downloaded. Each syllable is spoken
alone, its frames are stretched to its note, and one resynthesis joins the phrase.
"""

import dataclasses
import importlib.util
import subprocess
import sys
import types
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from dose import audio
from dose.errors import MissingInputError
from dose.sources.item import SourceItem
from dose.sources.synth import riffs

# eSpeak's voice variants: name -> octave it sings in (MIDI octave of riffs.py); a variant is a group
SINGERS = {
    "f1": 5, "f2": 5, "f3": 5, "f4": 5, "Annie": 5, "linda": 5, "steph": 5,
    "m1": 4, "m2": 4, "m3": 4, "m4": 4, "m7": 4, "Andy": 4, "Alex": 4, "adam": 4, "john": 4,
}  # fmt: skip
SYLLABLES = (
    "la", "doo", "oh", "yeah", "love", "night", "you", "me", "down", "fire", "sky", "away", "gone", "light",
    "time", "feel", "no", "why", "stay", "run", "home", "blue", "rain", "go",
)  # fmt: skip
SECONDS = 8.0
FRAME_MS = 5.0  # WORLD's default frame period


def source_items(phrases: int) -> Iterator[SourceItem]:
    """`phrases` loops, shared out evenly among SINGERS; one singer's follow each other."""
    for number, singer in enumerate(SINGERS):
        for index in range(len(range(number, phrases, len(SINGERS)))):
            yield SourceItem(
                name=f"sung {singer} {index}",
                cls="vocal",
                load=lambda s=singer, i=index: sing(s, i),  # type: ignore[misc]
                source="voice",
                group=f"voice/{singer}",
                package="espeakng-loader",
                kit=f"eSpeak NG {singer}",
                author="DOSE, with eSpeak NG and WORLD",
                licence="output of eSpeak NG (GPL-3+)",
                origin=f"eSpeak NG voice {singer} phrase {index}",
            )


@dataclasses.dataclass(frozen=True)
class VocoderFrames:
    """WORLD's analysis of a sound, one row per FRAME_MS."""

    envelope: np.ndarray  # [T, bins]
    aperiodicity: np.ndarray  # [T, bins]
    voiced: np.ndarray  # [T] bool

    def stretched(self, frames: int) -> "VocoderFrames":
        at = np.linspace(0, len(self.voiced) - 1, frames).round().astype(int)
        return VocoderFrames(self.envelope[at], self.aperiodicity[at], self.voiced[at])


@dataclasses.dataclass(frozen=True)
class Speech:
    """Words as eSpeak speaks them."""

    rate: int  # Hz
    sounds: list[np.ndarray]  # [N] each, -1..1, one per word


@dataclasses.dataclass(frozen=True)
class Spoken:
    """One singer's SYLLABLES, in their order."""

    rate: int  # Hz
    syllables: list[VocoderFrames]


def sing(singer: str, index: int) -> np.ndarray:
    """A phrase of SECONDS, float64 [N] at 44.1 kHz; a pure function of its arguments."""
    # 1. The phrase, and the generator for what its notes leave open.
    spoken = _spoken(singer)
    number = 1000 + list(SINGERS).index(singer)
    rng = np.random.Generator(np.random.Philox(key=[number, index]))
    notes = riffs.riff("vocal", number, index, SECONDS)
    octave = 12 * (SINGERS[singer] - 5)  # riffs are written for a high voice
    total = int(SECONDS * 1000 / FRAME_MS)
    # 2. Each note: a random syllable stretched to its length, on the melody's pitch.
    f0, envelope, aperiodicity = np.zeros(total), None, None
    for note in notes:
        frames = spoken.syllables[int(rng.integers(len(SYLLABLES)))]
        if envelope is None or aperiodicity is None:
            envelope = np.full((total, frames.envelope.shape[1]), 1e-12)
            aperiodicity = np.ones_like(envelope)
        start = int(note.start * 1000 / FRAME_MS)
        length = min(max(int(note.seconds * 1000 / FRAME_MS), 8), total - start)
        stretched = frames.stretched(length)
        envelope[start : start + length] = stretched.envelope * _edges(length)[:, None]
        aperiodicity[start : start + length] = stretched.aperiodicity
        f0[start : start + length] = _melody(note.pitch + octave, length, rng) * stretched.voiced
    if envelope is None:
        return np.zeros(0)
    # 3. One resynthesis of the whole phrase.
    sung = _world().synthesize(f0, envelope, aperiodicity, spoken.rate, FRAME_MS)
    return audio.resample(sung.astype(np.float32), spoken.rate, audio.RATE).astype(np.float64)


def _melody(pitch: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """F0 in Hz per frame: a slide into the note, then vibrato that grows over 0.5 s. Depths by hand."""
    time = np.arange(length) * FRAME_MS / 1000
    slide = -rng.uniform(0, 1.5) * np.exp(-time / 0.04)
    vibrato = (
        rng.uniform(0.1, 0.4) * np.minimum(time / 0.5, 1) * np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * time)
    )
    return 440 * 2 ** ((pitch - 69 + slide + vibrato) / 12)


def _edges(length: int) -> np.ndarray:
    """Power 0..1 that fades a syllable in and out over three frames (15 ms)."""
    ramp = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1)) / 3
    return np.minimum(ramp, 1) ** 2


@lru_cache(maxsize=2)
def _spoken(singer: str) -> Spoken:
    """All SYLLABLES by one singer, analysed."""
    speech = speak(singer, SYLLABLES)
    return Spoken(speech.rate, [_analyse(sound, speech.rate) for sound in speech.sounds])


@lru_cache(maxsize=16)
def speak(singer: str, words: tuple[str, ...]) -> Speech:
    """`words` by one of eSpeak's voices, in a fresh process, so that they are the same each time.

    Raises MissingInputError where eSpeak NG is not installed or cannot speak.
    """
    _needed("espeakng_loader")
    run = subprocess.run(
        [sys.executable, "-m", "dose.sources.synth.speaker", singer, *words],
        capture_output=True,
        check=False,
    )
    if run.returncode:
        raise MissingInputError(
            f"eSpeak NG cannot speak as {singer} ({run.stderr.decode(errors='replace').strip()[-200:]}); "
            "install the package espeakng-loader again or set params.yaml: sources.sung_phrases to 0."
        )
    # The speaker's output format: the rate, then count and samples per word.
    rate, at = int(np.frombuffer(run.stdout, "<i4", 1)[0]), 4
    sounds = []
    while at < len(run.stdout):
        count = int(np.frombuffer(run.stdout, "<i4", 1, at)[0])
        sounds.append(np.frombuffer(run.stdout, "<i2", count, at + 4) / 32768)
        at += 4 + 2 * count
    return Speech(rate, sounds)


def _analyse(sound: np.ndarray, rate: int) -> VocoderFrames:
    world = _world()
    f0, times = world.dio(sound, rate, frame_period=FRAME_MS)
    f0 = world.stonemask(sound, f0, times, rate)
    voiced = f0 > 0
    if not voiced.any():
        # A syllable without any voiced frame is used whole.
        voiced[:] = True
    first, last = np.flatnonzero(voiced)[[0, -1]]
    keep = slice(max(first - 12, 0), last + 6)  # the consonants around the vowel
    envelope = world.cheaptrick(sound, f0, times, rate)
    return VocoderFrames(envelope[keep], world.d4c(sound, f0, times, rate)[keep], voiced[keep])


def _world() -> types.ModuleType:
    """pyworld. On import it asks pkg_resources for its version, which new setuptools no longer contain."""
    if "pyworld" not in sys.modules and importlib.util.find_spec("pkg_resources") is None:
        stub: Any = types.ModuleType("pkg_resources")
        stub.get_distribution = lambda name: types.SimpleNamespace(version="")
        sys.modules["pkg_resources"] = stub
        try:
            return _needed("pyworld")
        finally:
            del sys.modules["pkg_resources"]
    return _needed("pyworld")


def _needed(package: str) -> types.ModuleType:
    try:
        return importlib.import_module(package)
    except ImportError as e:
        raise MissingInputError(
            f"Sung phrases need the Python package {package.replace('_', '-')}; install it or set "
            "params.yaml: sources.sung_phrases to 0."
        ) from e
