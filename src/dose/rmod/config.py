"""Every range that a recipe is drawn from: the section `rmod` of params.yaml.

A range [low, high] is uniform, drawn anew for each track of each mix.
"""

import dataclasses
from typing import Literal

from dose.drums import DRUMS, INSTRUMENTS

Range = tuple[float, float]
TRACKS = DRUMS + INSTRUMENTS


def _check_range(name: str, value: Range, low: float = -1e9, high: float = 1e9) -> None:
    if not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} must be [low, high] with {low:g} <= low <= high <= {high:g}, not {value}")


def _check_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a probability, 0 to 1, not {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayeringConfig:
    """Two samples of one class summed with one of the pairs of weights.

    `recorded` is the share of the train split's samples that are recordings; null takes all sounds alike, as
    val and test always do. A few recordings would drown in as many synthetic sounds as one likes to make.
    """

    probability: float
    weights: tuple[Range, ...]
    recorded: float | None

    def __post_init__(self) -> None:
        _check_share("layering.probability", self.probability)
        if not self.weights:
            raise ValueError("layering.weights needs at least one pair")
        if self.recorded is not None:
            _check_share("layering.recorded", self.recorded)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """What a drum sample goes through before it is a one-shot; beyond the paper, for our bank is smaller.

    With `probability` each layer is played faster or slower by `semitones` and the layered shot gets an
    exponential decay to -60 dB after `decay_seconds` (drawn on a logarithmic scale) and a shelf of `tilt_db`
    above `tilt_hz`.
    """

    probability: float
    semitones: Range
    decay_seconds: Range
    tilt_db: Range
    tilt_hz: Range

    def __post_init__(self) -> None:
        _check_share("variation.probability", self.probability)
        _check_range("variation.semitones", self.semitones, -24, 24)
        _check_range("variation.decay_seconds", self.decay_seconds, 0.01, 100)
        _check_range("variation.tilt_db", self.tilt_db, -24, 24)
        _check_range("variation.tilt_hz", self.tilt_hz, 20, 16000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Midi:
    """Hits of one mix: how many, on which grid, how hard."""

    grid: int  # equal points over the 4 s
    gap: int  # least distance of two hits of a class, grid points; 0 lets them coincide
    hits: dict[str, tuple[int, int]]  # per drum, least and most
    velocity_mean: float
    velocity_sd: float

    def __post_init__(self) -> None:
        if set(self.hits) != set(DRUMS):
            raise ValueError(f"midi.hits must name exactly {', '.join(DRUMS)}")
        for drum, (least, most) in self.hits.items():
            if not 1 <= least <= most <= 64 or self.grid <= (most - 1) * self.gap:
                raise ValueError(
                    f"midi.hits.{drum} must be [least, most], 1 to 64, and fit the grid, not {least, most}"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loops:
    """Instruments: how often they are missing, and how their loops are cut and transposed."""

    absent: float
    two_seconds: float  # probability of a 2 s slice played twice instead of 4 s
    semitones: dict[str, tuple[int, int]]

    def __post_init__(self) -> None:
        _check_share("loops.absent", self.absent)
        _check_share("loops.two_seconds", self.two_seconds)
        if set(self.semitones) != set(INSTRUMENTS):
            raise ValueError(f"loops.semitones must name exactly {', '.join(INSTRUMENTS)}")
        for name, value in self.semitones.items():
            _check_range(f"loops.semitones.{name}", value, -24, 24)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterRange:
    gain_db: Range
    hz: Range
    q: Range

    def __post_init__(self) -> None:
        _check_range("gain_db", self.gain_db, -60, 60)
        _check_range("hz", self.hz, 1, 22049)
        _check_range("q", self.q, 0.01, 100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressorRange:
    threshold_db: Range
    attack_ms: Range
    release_ms: Range
    ratio: Range

    def __post_init__(self) -> None:
        _check_range("threshold_db", self.threshold_db, -120, 0)
        _check_range("attack_ms", self.attack_ms, 0.01, 10000)
        _check_range("release_ms", self.release_ms, 0.01, 10000)
        _check_range("ratio", self.ratio, 1, 1000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimiterRange:
    threshold_db: Range
    release_ms: Range

    def __post_init__(self) -> None:
        _check_range("threshold_db", self.threshold_db, -60, 0)
        _check_range("release_ms", self.release_ms, 0.01, 10000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackRange:
    """One track's chain: gain, EQ, compressor, pan, limiter; and how often it sends."""

    gain_db: Range
    shelf: FilterRange  # low shelf
    peaks: tuple[FilterRange, ...]
    compressor: CompressorRange
    pan: Range  # 0 left, 1 right
    limiter: LimiterRange
    reverb: float  # probability of the send
    delay: float

    def __post_init__(self) -> None:
        _check_range("gain_db", self.gain_db, -60, 60)
        _check_range("pan", self.pan, 0, 1)
        _check_share("reverb", self.reverb)
        _check_share("delay", self.delay)
        if len(self.peaks) > 3:
            raise ValueError("a track has at most 3 peaks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SendFilter:
    highpass_hz: Range
    lowpass: float  # probability
    lowpass_hz: Range

    def __post_init__(self) -> None:
        _check_range("highpass_hz", self.highpass_hz, 1, 22049)
        _check_share("lowpass", self.lowpass)
        _check_range("lowpass_hz", self.lowpass_hz, 1, 22049)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReverbRange:
    room: Range
    damping: Range
    width: Range
    level_db: Range
    filter: SendFilter

    def __post_init__(self) -> None:
        _check_range("room", self.room, 0, 1)
        _check_range("damping", self.damping, 0, 1)
        _check_range("width", self.width, 0, 1)
        _check_range("level_db", self.level_db, -120, 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DelayRange:
    seconds: Range
    feedback: Range
    level_db: Range
    filter: SendFilter

    def __post_init__(self) -> None:
        _check_range("seconds", self.seconds, 0, 4)
        _check_range("feedback", self.feedback, 0, 0.99)
        _check_range("level_db", self.level_db, -120, 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MasterRange:
    peaks: tuple[FilterRange, ...]
    gain_db: Range
    limiter: LimiterRange
    sends: Literal["before", "after"]  # where the sends join, seen from the limiter; "after" exceeds 0 dBFS

    def __post_init__(self) -> None:
        _check_range("gain_db", self.gain_db, -60, 60)
        if len(self.peaks) > 3:
            raise ValueError("the master has at most 3 peaks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Groove:
    """The third test set: human performances."""

    items: int
    folder: str | None  # the Groove MIDI Dataset as unpacked; None makes the labelled stand-in

    def __post_init__(self) -> None:
        if self.items < 0:
            raise ValueError("groove.items must be at least 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RmodConfig:
    seed: int
    train: int  # recipes
    val: int
    test: int
    groove: Groove
    shard: int  # items a worker renders, and recipes it draws times 100, between two writes
    workers: int
    layering: LayeringConfig
    variation: AugmentationConfig
    midi: Midi
    loops: Loops
    pitch: Literal["fast", "librosa"]
    pitch_cache_mb: int  # per worker
    tracks: dict[str, TrackRange]
    reverb: ReverbRange
    delay: DelayRange
    master: MasterRange

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**63:
            raise ValueError("seed must lie in 0 .. 2^63 - 1")
        if min(self.train, self.val, self.test) < 0:
            raise ValueError("train, val and test are counts, 0 or more")
        if self.shard < 1 or self.workers < 1 or self.pitch_cache_mb < 0:
            raise ValueError("shard and workers must be at least 1 and pitch_cache_mb at least 0")
        if set(self.tracks) != set(TRACKS):
            raise ValueError(f"tracks must name exactly {', '.join(TRACKS)}")
