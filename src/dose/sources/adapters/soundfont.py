"""SoundFonts: the drum kits of bank 128, and riffs on the General MIDI instruments.

tinysoundfont renders. Its floats may exceed full scale; cleaning normalises them. Most SoundFonts have little
energy above 8 kHz: half of the riffs get distortion, which adds some.
"""

import importlib.util
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dose.audio import RATE
from dose.errors import DoseError, MissingInputError
from dose.sources.item import SourceItem
from dose.sources.synth import riffs

DRUM_BANK, DRUM_CHANNEL, CHANNEL = 128, 9, 0
# General MIDI percussion keys of each drum and variant
KEYS = {
    ("kick", ""): (35, 36),
    ("snare", ""): (38, 40),
    ("hihat", "closed"): (42,),
    ("hihat", "pedal"): (44,),
    ("hihat", "open"): (46,),
    ("clap", ""): (39,),
    ("tom", ""): (41, 43, 45, 47, 48, 50),
    ("cymbal", "crash"): (49, 52, 55, 57),
    ("cymbal", "ride"): (51, 53, 59),
    # Side stick, tambourine, cowbell, bongos, congas, agogo, cabasa, maracas, claves, wood blocks, triangle.
    ("percussion", ""): (37, 54, 56, 60, 61, 62, 63, 64, 67, 68, 69, 70, 75, 76, 77, 81),
}
# Of the orchestra kit these keys are timpani (General MIDI 2).
ORCHESTRA, TIMPANI = 48, range(41, 54)
VELOCITY = 110  # loud, below the maximum: a default, without a study
DRUM_PRESETS = tuple((DRUM_BANK, number) for number in range(128))
RIFF_SECONDS = 8.0  # two pieces of 4 s, the length of a mix
NAMES = {"timgm6mb": ("pretty_midi", "TimGM6mb.sf2")}


def locate(name: str) -> Path:
    """The file of a params entry: a path, or a name in NAMES, whose file a Python package contains."""
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
        # General MIDI reserves channel 10 (index 9) for drums.
        channel = DRUM_CHANNEL if bank == DRUM_BANK else CHANNEL
        self._synth.sounds_off(channel)
        self._synth.generate(RATE)  # earlier notes die away, so that the result does not depend on order
        self._synth.program_select(channel, self._id, bank, number, bank == DRUM_BANK)
        # Note-on and note-off events in time; at one time, offs come before ons.
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
        mono: np.ndarray = stereo.mean(axis=1)
        return mono


def source_items(name: str, riffs_per_program: int) -> Iterator[SourceItem]:
    """The items of a params entry (see `locate`): its drum kits, and riffs on its instruments."""
    font = Font(locate(name))
    known = name in NAMES
    record: dict[str, Any] = {
        "source": "soundfont",
        "package": name if known else font.path.name,
        "author": "Tim Brechbill, David Bolton" if known else "unknown",
        "licence": "GPL-2" if known else "unknown, see the SoundFont",
    }
    group = "lmms-timgm" if "timgm6mb" in font.path.stem.lower() else f"soundfont/{font.path.stem}"
    yield from _all_items(font, group, riffs_per_program, record)


def package_items(root: Path, package: str, version: str, riffs_per_program: int) -> Iterator[SourceItem]:
    """As `source_items`, of the General MIDI SoundFont in an unpacked package."""
    files = sorted(root.rglob("*.sf2"))
    fluid = package.startswith("fluid")
    record: dict[str, Any] = {
        "source": "debian",
        "package": package,
        "version": version,
        "author": "Frank Wen" if fluid else "Tim Brechbill, David Bolton",
        "licence": "MIT" if fluid else "GPL-2",
        "attribution": "Fluid (R3) by Frank Wen (MIT)" if fluid else "TimGM6mb by Tim Brechbill (GPL-2)",
    }
    for path in files[:1]:
        yield from _all_items(Font(path), "fluid-drums" if fluid else "lmms-timgm", riffs_per_program, record)


def avl_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """The two acoustic kits of AVL Drumkits, in bank 0, with velocity layers."""
    for path in sorted(p for p in root.rglob("*.sf2") if p.parent.name == "sf2"):
        yield from drum_items(
            Font(path),
            presets=((0, 0),),
            velocities=(45, 80, 120),
            group="macarthur",
            source="debian",
            package=package,
            version=version,
            author="Glen MacArthur",
            licence="CC-BY-SA-3.0",
            attribution="AVL Drumkits by Glen MacArthur (CC BY-SA 3.0)",
        )


def _all_items(
    font: Font, group: str, riffs_per_program: int, record: dict[str, Any]
) -> Iterator[SourceItem]:
    yield from drum_items(font, group=group, **record)
    for cls, programs in riffs.PROGRAMS.items():
        for program in programs:
            yield from riff_items(font, cls, program, riffs_per_program, seconds=RIFF_SECONDS, **record)


def drum_items(
    font: Font,
    *,
    group: str,
    presets: Iterable[tuple[int, int]] = DRUM_PRESETS,
    velocities: tuple[int, ...] = (VELOCITY,),
    **record: Any,
) -> Iterator[SourceItem]:
    """One item per drum kit, percussion key in KEYS and velocity; `build` removes equal sounds."""
    hits = [(kind, key, v) for kind, keys in KEYS.items() for key in keys for v in velocities]
    for bank, number in presets:
        kit = font.preset(bank, number)
        for (cls, variant), key, velocity in hits if kit else ():
            if bank == DRUM_BANK and number == ORCHESTRA and key in TIMPANI:
                continue
            yield SourceItem(
                name=f"{font.path.stem} {kit} {key}" + (f" {velocity}" if len(velocities) > 1 else ""),
                cls=cls,
                variant=variant,
                load=lambda b=bank, n=number, k=key, v=velocity: _hit(font, b, n, k, v),  # type: ignore[misc]
                group=group,
                kit=f"{font.path.stem} {kit}",
                origin=f"{font.path.name} bank {bank} preset {number} key {key} velocity {velocity}",
                **record,
            )


def _hit(font: Font, bank: int, number: int, key: int, velocity: int) -> np.ndarray:
    note = riffs.Note(start=0.0, seconds=1.5, pitch=key, velocity=velocity)
    return font.render(bank, number, [note], 1.5)


def riff_items(
    font: Font, cls: str, program: int, count: int, *, seconds: float, **record: Any
) -> Iterator[SourceItem]:
    """`count` phrases on a GM program; none where the SoundFont lacks it."""
    name = font.preset(0, program)
    for index in range(count) if name else ():
        yield SourceItem(
            name=f"{font.path.stem} {program:03d} {name} {index}",
            cls=cls,
            load=lambda i=index: _riff(font, cls, program, i, seconds),  # type: ignore[misc]
            group=f"gm/{program}",
            kit=f"{font.path.stem} {name}",
            origin=f"{font.path.name} program {program} riff {index}",
            **record,
        )


def _riff(font: Font, cls: str, program: int, index: int, seconds: float) -> np.ndarray:
    sound = font.render(0, program, riffs.riff(cls, program, index, seconds), seconds)
    rng = np.random.Generator(np.random.Philox(key=[program, index + (1 << 32)]))
    # No drive, or a tanh of 1 to 5 times the peak, with equal chance.
    drive = float(rng.choice([0.0, rng.uniform(1.0, 5.0)]))
    peak = np.abs(sound).max(initial=0.0)
    return np.tanh(sound / peak * drive) if drive and peak else sound
