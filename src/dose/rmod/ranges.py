"""The ranges that a mixing chain is drawn from, and their checks.

A range [low, high] is uniform, drawn anew for each track of each mix.
"""

import dataclasses

Range = tuple[float, float]


def check_range(name: str, value: Range, low: float = -1e9, high: float = 1e9) -> None:
    """Raises ValueError unless low <= value[0] <= value[1] <= high."""
    if not low <= value[0] <= value[1] <= high:
        raise ValueError(f"{name} must be [low, high] with {low:g} <= low <= high <= {high:g}, not {value}")


def check_probability(name: str, value: float) -> None:
    """Raises ValueError unless 0 <= value <= 1."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a probability, 0 to 1, not {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilterRange:
    gain_db: Range
    hz: Range
    q: Range

    def __post_init__(self) -> None:
        check_range("gain_db", self.gain_db, -60, 60)
        # Below the Nyquist frequency, where the filter designs are defined.
        check_range("hz", self.hz, 1, 22049)
        check_range("q", self.q, 0.01, 100)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompressorRange:
    threshold_db: Range
    attack_ms: Range
    release_ms: Range
    ratio: Range

    def __post_init__(self) -> None:
        check_range("threshold_db", self.threshold_db, -120, 0)
        check_range("attack_ms", self.attack_ms, 0.01, 10000)
        check_range("release_ms", self.release_ms, 0.01, 10000)
        check_range("ratio", self.ratio, 1, 1000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LimiterRange:
    threshold_db: Range
    release_ms: Range

    def __post_init__(self) -> None:
        check_range("threshold_db", self.threshold_db, -60, 0)
        check_range("release_ms", self.release_ms, 0.01, 10000)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrackRange:
    """One track's chain: gain, EQ, compressor, pan, limiter, and the probabilities of its sends."""

    gain_db: Range
    shelf: FilterRange  # low shelf
    peaks: tuple[FilterRange, ...]
    compressor: CompressorRange
    pan: Range  # 0 left, 1 right
    limiter: LimiterRange
    reverb: float  # probability of the send
    delay: float  # probability of the send

    def __post_init__(self) -> None:
        check_range("gain_db", self.gain_db, -60, 60)
        check_range("pan", self.pan, 0, 1)
        check_probability("reverb", self.reverb)
        check_probability("delay", self.delay)
        # `parameters` reserves columns for three; with the shelf, effects.eq computes four in one pass.
        if len(self.peaks) > 3:
            raise ValueError("a track has at most 3 peaks")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SendFilterRange:
    """The high-pass of a send, and its low-pass, which is present with probability `lowpass`."""

    highpass_hz: Range
    lowpass: float
    lowpass_hz: Range

    def __post_init__(self) -> None:
        check_range("highpass_hz", self.highpass_hz, 1, 22049)
        check_probability("lowpass", self.lowpass)
        check_range("lowpass_hz", self.lowpass_hz, 1, 22049)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReverbRange:
    room: Range
    damping: Range
    width: Range
    level_db: Range
    filter: SendFilterRange

    def __post_init__(self) -> None:
        check_range("room", self.room, 0, 1)
        check_range("damping", self.damping, 0, 1)
        check_range("width", self.width, 0, 1)
        check_range("level_db", self.level_db, -120, 20)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DelayRange:
    seconds: Range
    feedback: Range
    level_db: Range
    filter: SendFilterRange

    def __post_init__(self) -> None:
        check_range("seconds", self.seconds, 0, 4)
        check_range("feedback", self.feedback, 0, 0.99)
        check_range("level_db", self.level_db, -120, 20)
