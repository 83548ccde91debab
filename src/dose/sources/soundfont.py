"""Sounds out of SoundFonts: the drum kits of bank 128, and riffs on the General MIDI instruments.

tinysoundfont renders; it may exceed full scale, so its floats are kept and levelled by the cleaning. Most
SoundFonts hold little above 8 kHz: half of the riffs get some drive.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dose.audio import RATE
from dose.errors import DoseError, MissingInputError
from dose.sources import riffs
from dose.sources.take import Take

DRUM_BANK, DRUM_CHANNEL, CHANNEL = 128, 9, 0
# GM percussion keys
KEYS = {
    ("kick", ""): (35, 36),
    ("snare", ""): (38, 40),
    ("hihat", "closed"): (42,),
    ("hihat", "pedal"): (44,),
    ("hihat", "open"): (46,),
}
VELOCITY = 110
NAMES = {"timgm6mb": ("pretty_midi", "TimGM6mb.sf2")}


def locate(name: str) -> Path:
    """The file of a params entry: a path, or a known name that a Python package carries."""
    if name in NAMES:
        package, file = NAMES[name]
        spec = importlib.util.find_spec(package)
        found = (
            [p for root in (spec.submodule_search_locations or ()) for p in Path(root).rglob(file)]
            if spec
            else []
        )
        if not found:
            raise MissingInputError(
                f"The SoundFont {name} comes with the Python package {package}; install it."
            )
        return found[0]
    path = Path(name)
    if not path.is_file():
        raise MissingInputError(f"The SoundFont {path} of params.yaml: sources.soundfonts does not exist.")
    return path


class Font:
    """One SoundFont, loaded. Not thread-safe."""

    def __init__(self, path: Path):
        import tinysoundfont

        self.path = path
        self._synth = tinysoundfont.Synth(samplerate=RATE, gain=-6)
        try:
            self._id = self._synth.sfload(str(path))
        except Exception as e:  # the binding raises a bare Exception
            raise DoseError(f"{path} is not a SoundFont (.sf2) that can be read.") from e

    def preset(self, bank: int, number: int) -> str:
        """The preset's name, "" where there is none."""
        return self._synth.sfpreset_name(self._id, bank, number) or ""

    def render(self, bank: int, number: int, notes: Iterable[riffs.Note], seconds: float) -> np.ndarray:
        """The notes played on a preset, mono float64 [seconds * RATE]."""
        channel = DRUM_CHANNEL if bank == DRUM_BANK else CHANNEL
        self._synth.sounds_off(channel)
        self._synth.generate(RATE)  # lets what still rings die away, so that takes do not depend on order
        self._synth.program_select(channel, self._id, bank, number, bank == DRUM_BANK)
        events = [(n.start, 1, n) for n in notes] + [(n.start + n.seconds, 0, n) for n in notes]
        blocks, at = [], 0
        for when, on, note in sorted(events, key=lambda e: e[:2]):
            until = min(int(when * RATE), int(seconds * RATE))
            blocks.append(self._generate(until - at))
            at = until
            if on:
                self._synth.noteon(channel, note.pitch, note.velocity)
            else:
                self._synth.noteoff(channel, note.pitch)
        blocks.append(self._generate(int(seconds * RATE) - at))
        return np.concatenate(blocks).astype(np.float64)

    def _generate(self, samples: int) -> np.ndarray:
        if samples <= 0:
            return np.zeros(0)
        stereo = np.frombuffer(self._synth.generate(samples), np.float32).reshape(-1, 2)
        return stereo.mean(axis=1)


def drum_takes(font: Font, *, group: str, source: str, **record: Any) -> Iterator[Take]:
    """One take per drum kit preset and percussion key of ours; equal ones are left to deduplication."""
    for number in range(128):
        kit = font.preset(DRUM_BANK, number)
        for (cls, variant), keys in KEYS.items() if kit else ():
            for key in keys:
                yield Take(
                    name=f"{font.path.stem} {kit} {key}",
                    cls=cls,
                    variant=variant,
                    load=lambda n=number, k=key: _hit(font, n, k),  # type: ignore[misc]
                    source=source,
                    group=group,
                    kit=f"{font.path.stem} {kit}",
                    origin=f"{font.path.name} bank {DRUM_BANK} preset {number} key {key}",
                    **record,
                )


def _hit(font: Font, number: int, key: int) -> np.ndarray:
    note = riffs.Note(start=0.0, seconds=1.5, pitch=key, velocity=VELOCITY)
    return font.render(DRUM_BANK, number, [note], 1.5)


def riff_takes(
    font: Font, cls: str, program: int, count: int, *, seconds: float, source: str, **record: Any
) -> Iterator[Take]:
    """`count` phrases on a GM program; none where the SoundFont lacks it."""
    name = font.preset(0, program)
    for index in range(count) if name else ():
        yield Take(
            name=f"{font.path.stem} {program:03d} {name} {index}",
            cls=cls,
            load=lambda i=index: _riff(font, cls, program, i, seconds),  # type: ignore[misc]
            source=source,
            group=f"gm/{program}",
            kit=f"{font.path.stem} {name}",
            origin=f"{font.path.name} program {program} riff {index}",
            **record,
        )


def _riff(font: Font, cls: str, program: int, index: int, seconds: float) -> np.ndarray:
    sound = font.render(0, program, riffs.riff(cls, program, index, seconds), seconds)
    rng = np.random.Generator(np.random.Philox(key=[program, index + (1 << 32)]))
    drive = float(rng.choice([0.0, rng.uniform(1.0, 5.0)]))
    peak = np.abs(sound).max(initial=0.0)
    return np.tanh(sound / peak * drive) if drive and peak else sound
