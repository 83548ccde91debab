"""The input of every exporter: named sounds on pads."""

import dataclasses
import hashlib
import re
import unicodedata
from typing import Literal

import numpy as np

from dose.audio import downmix
from dose.errors import DoseError
from dose.files import printable
from dose.kits.riff import Bits
from dose.transcription.hits import GM_NOTES, Transcription

# General MIDI percussion key map: Bass Drum 1, Acoustic Snare, Closed Hi-hat.
NOTES = {"kick": GM_NOTES["kick"], "snare": GM_NOTES["snare"], "hihat": GM_NOTES["closed_hihat"]}
TITLES = {"kick": "Kick", "snare": "Snare", "hihat": "Hi-hat"}
# Further notes of a drum and what tells them apart in a title: Pedal and Open Hi-hat. A kit has one hi-hat;
# without these, the open hi-hats of a MIDI file would be silent.
FURTHER_NOTES = {"hihat": {44: "pedal", GM_NOTES["open_hihat"]: "open"}}

Layering = Literal["round-robin", "velocity"]
MAX_NAME = 64  # characters of a file name without its suffix; a default below every system's limit


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sound:
    """One sample of a kit; `name` is its file name without suffix."""

    name: str
    audio: np.ndarray  # float32 [N] or [C, N], full scale 1.0
    wav: bytes  # the same as a WAV file, with its metadata


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pad:
    """One drum: its sounds, best first; several of them become round robin or velocity layers."""

    drum: str
    sounds: tuple[Sound, ...]

    @property
    def note(self) -> int:
        return NOTES[self.drum]

    @property
    def title(self) -> str:
        return TITLES[self.drum]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
    """One MIDI note of a kit, and the pad that it plays."""

    note: int
    title: str
    pad: Pad


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumKit:
    """A kit to write: pads in the order of the drums, all at one rate."""

    name: str
    pads: tuple[Pad, ...]
    rate: int  # Hz
    bits: Bits = 16  # of its WAVs
    layering: Layering = "round-robin"
    comment: str = ""
    transcription: Transcription | None = None  # of the song, for the MIDI files that go with the kit

    def __post_init__(self) -> None:
        for field in ("name", "comment"):  # control characters would break XML and line-based formats
            object.__setattr__(self, field, printable(getattr(self, field)))
        if not any(pad.sounds for pad in self.pads):
            raise DoseError(f"The kit '{self.name}' has no sounds, so there is nothing to write.")
        names = [sound.name for pad in self.pads for sound in pad.sounds]
        if len(set(names)) != len(names):
            raise ValueError(f"two sounds of the kit share a name: {sorted(names)}")

    @property
    def sounds(self) -> tuple[Sound, ...]:
        return tuple(sound for pad in self.pads for sound in pad.sounds)

    @property
    def keys(self) -> tuple[Key, ...]:
        """The notes of all pads that have sounds: first each pad's own, then FURTHER_NOTES."""
        pads = [pad for pad in self.pads if pad.sounds]
        own = [Key(note=pad.note, title=pad.title, pad=pad) for pad in pads]
        further = [
            Key(note=note, title=f"{pad.title} ({kind})", pad=pad)
            for pad in pads
            for note, kind in FURTHER_NOTES.get(pad.drum, {}).items()
        ]
        return (*own, *further)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VelocityLayer:
    """One sound of a pad and when it plays: at MIDI velocities low..high, at one position of a sequence."""

    sound: Sound
    low: int  # 1..127
    high: int  # 1..127, inclusive
    seq_position: int  # round robin: from 1
    seq_length: int  # 1: no round robin


def layers(pad: Pad, layering: Layering) -> list[VelocityLayer]:
    """The velocity layers or the round-robin sequence of a pad's sounds.

    Round robin: every sound at every velocity, one after another. Velocity: the range is split evenly, and
    the sounds are ordered by brightness, because a drum that is hit harder sounds brighter.
    """
    count = len(pad.sounds)
    if layering == "round-robin":
        return [
            VelocityLayer(sound=sound, low=1, high=127, seq_position=i + 1, seq_length=count)
            for i, sound in enumerate(pad.sounds)
        ]
    # Boundaries of `count` equal velocity ranges that cover 1..127 without gap or overlap.
    edges = [1 + round(127 * i / count) for i in range(count + 1)]
    # A stable sort: equally bright sounds keep their rank order.
    by_brightness = sorted(pad.sounds, key=lambda sound: brightness(sound.audio))
    return [
        VelocityLayer(sound=sound, low=low, high=high - 1, seq_position=1, seq_length=1)
        for sound, low, high in zip(by_brightness, edges, edges[1:], strict=False)
    ]


def brightness(audio: np.ndarray) -> float:
    """Spectral centroid as a fraction of the Nyquist frequency; [N] or [C, N]; 0 for silence."""
    mono = downmix(audio)
    power = np.abs(np.fft.rfft(mono)) ** 2
    # Centroid: the mean of the bins' frequencies, weighted by their power.
    total = power.sum()
    return float((power * np.linspace(0, 1, len(power))).sum() / total) if total > 0 else 0.0


def safe_name(name: str) -> str:
    """`name` as a file name that every system and sampler accepts: ASCII letters, digits, - _ and .

    Where the conversion loses letters (another script, accents, the end of a long name), a hash of the whole
    name is appended, so that two kits of different names never share a file or a folder.
    """
    # NFKD splits accents off their letters, so that they can be dropped.
    letters = unicodedata.normalize("NFKD", name)
    ascii_ = re.sub(r"[^A-Za-z0-9._-]+", "_", "".join(c for c in letters if not unicodedata.combining(c)))
    plain = ascii_.strip("._-")
    lost = any(c.isalnum() and not c.isascii() for c in name) or len(plain) > MAX_NAME or (name and not plain)
    if not lost:
        return plain or "kit"
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"{plain[: MAX_NAME - 9].strip('._-') or 'kit'}-{digest}"
