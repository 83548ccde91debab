"""The specification of one mix: drawn from (seed, split, index), stored as a row of a table, and rendered.

Numbers are exact in the table: reals are float32 values, times are sample positions at 44.1 kHz.
"""

import dataclasses
from typing import Any

from dose.drums import DRUMS, INSTRUMENTS
from dose.rmod import columns


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filter:
    gain_db: float
    hz: float
    q: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compressor:
    threshold_db: float
    attack_ms: float
    release_ms: float
    ratio: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limiter:
    threshold_db: float
    release_ms: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reverb:
    room: float
    damping: float
    width: float
    level_db: float
    highpass_hz: float
    lowpass_hz: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delay:
    seconds: float
    feedback: float
    level_db: float
    highpass_hz: float
    lowpass_hz: float | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChainSpec:
    """A track's chain in its order: gain, EQ, compressor, pan, limiter; a send that is not used is None."""

    inverted: bool
    gain_db: float
    shelf: Filter
    peaks: tuple[Filter, ...]
    compressor: Compressor
    pan: float  # 0 left, 1 right
    # The law decides how the level falls from the centre to the sides; mixer.pan_gains has the three.
    law: str  # of the pan: "linear", "power" or "compromise" between the two
    limiter: Limiter
    reverb: Reverb | None
    delay: Delay | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """One sample of a one-shot."""

    clip: str
    kit: str
    licence: str
    variant: str
    weight: float
    semitones: float  # by which it is played faster


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrumSpec:
    """One drum: its one-shot (`layers`, decay, tilt) and its hits."""

    layers: tuple[LayerSpec, ...]
    decay_seconds: float | None  # time to -60 dB of the added envelope
    tilt_db: float
    tilt_hz: float
    # One velocity (1..127) per onset.
    onsets: tuple[int, ...]  # samples from the start of the mix, rising
    velocities: tuple[int, ...]
    chain: ChainSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopSpec:
    """One instrument: samples start .. start + length of a clip, transposed, repeated to fill the mix."""

    clip: str
    kit: str
    licence: str
    start: int
    length: int
    semitones: int
    chain: ChainSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class MasterSpec:
    peaks: tuple[Filter, ...]
    gain_db: float
    limiter: Limiter


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixSpec:
    seed: int
    split: str  # "train", "val", "test" or "groove"
    index: int
    pattern: str  # "rmod", "groove-like, not GMD", or the performance's file and second
    kick: DrumSpec
    snare: DrumSpec
    hihat: DrumSpec
    bass: LoopSpec | None
    piano: LoopSpec | None
    guitar: LoopSpec | None
    vocal: LoopSpec | None
    master: MasterSpec

    @property
    def drums(self) -> dict[str, DrumSpec]:
        return {name: getattr(self, name) for name in DRUMS}

    @property
    def loops(self) -> dict[str, LoopSpec]:
        """The instruments that play, by name."""
        return {name: loop for name in INSTRUMENTS if (loop := getattr(self, name)) is not None}

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MixSpec":
        """The inverse of `as_dict`; also reads a row of the table."""
        return columns.build(cls, values)
