"""The section `rmod` of params.yaml: how many mixes are specified, and what they are drawn from.

The mixing chain's ranges are optional keys: they define RMOD, and `paper_ranges` holds their values.
"""

import dataclasses
from typing import Literal

from dose.config import optional, was
from dose.drums import DRUMS, INSTRUMENTS
from dose.rmod import paper_ranges as paper
from dose.rmod.ranges import (
    DelayRange,
    FilterRange,
    LimiterRange,
    Range,
    ReverbRange,
    TrackRange,
    check_probability,
    check_range,
)
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.rng import HITS

TRACKS = DRUMS + INSTRUMENTS


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayeringConfig:
    """Two samples of one class, summed with one of the pairs of weights.

    `recorded` is the share of the train split's samples that are recordings; null draws from all clips alike,
    as val and test always do. Without it, a few recordings are rare among many synthetic clips.
    """

    probability: float
    weights: tuple[Range, ...] = dataclasses.field(default=paper.LAYER_WEIGHTS, metadata=optional())
    recorded: float | None

    def __post_init__(self) -> None:
        check_probability("layering.probability", self.probability)
        if not self.weights:
            raise ValueError("layering.weights needs at least one pair")
        if self.recorded is not None:
            check_probability("layering.recorded", self.recorded)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """Augmentation of a drum's samples before they are a one-shot; beyond the paper, whose library is larger.

    With `probability`, each layer is played faster or slower by `semitones`, and the layered one-shot gets an
    exponential decay to -60 dB after `decay_seconds` (uniform on a logarithmic scale) and a high shelf of
    `tilt_db` above `tilt_hz`.
    """

    probability: float
    semitones: Range
    decay_seconds: Range
    tilt_db: Range
    tilt_hz: Range

    def __post_init__(self) -> None:
        check_probability("augmentation.probability", self.probability)
        check_range("augmentation.semitones", self.semitones, -24, 24)
        check_range("augmentation.decay_seconds", self.decay_seconds, 0.01, 100)
        check_range("augmentation.tilt_db", self.tilt_db, -24, 24)
        check_range("augmentation.tilt_hz", self.tilt_hz, 20, 16000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Midi:
    """Hits of one mix: how many, on which grid, at which velocity."""

    grid: int  # equal points over the 4 s
    gap: int  # least distance of two hits of a class, grid points; 0 lets them coincide
    hits: dict[str, tuple[int, int]]  # per drum, least and most
    velocity_mean: float = dataclasses.field(default=paper.VELOCITY_MEAN, metadata=optional())
    velocity_sd: float = dataclasses.field(default=paper.VELOCITY_SD, metadata=optional())

    def __post_init__(self) -> None:
        if set(self.hits) != set(DRUMS):
            raise ValueError(f"midi.hits must name exactly {', '.join(DRUMS)}")
        for drum, (least, most) in self.hits.items():
            # (most - 1) gaps must leave room on the grid.
            if not 1 <= least <= most <= HITS or self.grid <= (most - 1) * self.gap:
                raise ValueError(
                    f"midi.hits.{drum} must be [least, most], 1 to {HITS}, and fit the grid, "
                    f"not {least, most}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loops:
    """Instruments: how often they are absent, and how their loops are cut and transposed."""

    absent: float  # probability, each instrument
    two_seconds: float  # probability of a 2 s slice played twice instead of 4 s
    semitones: dict[str, tuple[int, int]]

    def __post_init__(self) -> None:
        check_probability("loops.absent", self.absent)
        check_probability("loops.two_seconds", self.two_seconds)
        if set(self.semitones) != set(INSTRUMENTS):
            raise ValueError(f"loops.semitones must name exactly {', '.join(INSTRUMENTS)}")
        for name, value in self.semitones.items():
            check_range(f"loops.semitones.{name}", value, -24, 24)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MasterConfig:
    """EQ, gain and limiter of the sum."""

    sends: Literal["before", "after"]  # where the sends join, seen from the limiter; "after" exceeds 0 dBFS
    peaks: tuple[FilterRange, ...] = dataclasses.field(default=paper.MASTER_PEAKS, metadata=optional())
    gain_db: Range = dataclasses.field(default=paper.MASTER_GAIN_DB, metadata=optional())
    limiter: LimiterRange = dataclasses.field(default=paper.MASTER_LIMITER, metadata=optional())

    def __post_init__(self) -> None:
        check_range("gain_db", self.gain_db, -60, 60)
        if len(self.peaks) > 3:
            raise ValueError("the master has at most 3 peaks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groove:
    """The third test set: human performances."""

    items: int
    folder: str | None  # the Groove MIDI Dataset, unpacked; None generates the labelled stand-in

    def __post_init__(self) -> None:
        if self.items < 0:
            raise ValueError("groove.items must be at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RmodConfig:
    """params.yaml: rmod."""

    seed: int
    train: int  # mix specifications
    val: int
    test: int
    groove: Groove
    # Mixes of the validation sets realistic and realistic_drums.
    realistic_items: int = dataclasses.field(default=0, metadata=optional())
    shard: int  # mixes that a worker renders between two writes
    workers: int
    layering: LayeringConfig
    augmentation: AugmentationConfig = dataclasses.field(metadata=was("variation"))
    midi: Midi
    loops: Loops
    pitch: Literal["fast", "librosa"]
    pitch_cache_mb: int  # per worker
    master: MasterConfig
    tracks: dict[str, TrackRange] = dataclasses.field(
        default_factory=lambda: dict(paper.TRACKS), metadata=optional()
    )
    realistic: RealisticConfig = dataclasses.field(default_factory=RealisticConfig, metadata=optional())
    reverb: ReverbRange = dataclasses.field(default=paper.REVERB, metadata=optional())
    delay: DelayRange = dataclasses.field(default=paper.DELAY, metadata=optional())

    def __post_init__(self) -> None:
        # The seed is half of Philox's 128-bit key, and an int64 in the table.
        if not 0 <= self.seed < 2**63:
            raise ValueError("seed must lie in 0 .. 2^63 - 1")
        if min(self.train, self.val, self.test, self.realistic_items) < 0:
            raise ValueError("train, val, test and realistic_items are counts, 0 or more")
        if self.shard < 1 or self.workers < 1 or self.pitch_cache_mb < 0:
            raise ValueError("shard and workers must be at least 1 and pitch_cache_mb at least 0")
        if set(self.tracks) != set(TRACKS):
            raise ValueError(f"tracks must name exactly {', '.join(TRACKS)}")
