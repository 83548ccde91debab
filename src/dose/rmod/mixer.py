"""From tracks to the mix: gain, EQ, compressor, pan, limiter and sends of each track, then the master.

Every effect that changes the level (EQ, compressor, master EQ) is followed by a gain that restores the RMS
from before it.
"""

import math

import numpy as np

from dose.audio import RATE
from dose.drums import MIX_SECONDS
from dose.rmod import effects
from dose.rmod.mix_spec import ChainSpec, Filter, MasterSpec

MIX = int(MIX_SECONDS * RATE)  # samples


class Bus:
    """Sum of tracks and of their sends on the way to the master, float32 [2, MIX] each.

    Sends that join before the master's limiter share one array with the tracks.
    """

    def __init__(self, *, sends_after_limiter: bool):
        self.dry = np.zeros((2, MIX), np.float32)
        self.sends = np.zeros((2, MIX), np.float32) if sends_after_limiter else self.dry

    def add(self, other: "Bus") -> None:
        self.dry += other.dry
        if self.sends is not self.dry:
            self.sends += other.sends


def apply_eq_and_compress(rows: np.ndarray, chains: list[ChainSpec]) -> list[float]:
    """Gain, EQ and compressor of all tracks at once, in place on rows [8, MIX].

    Returns the gain that restores each track's RMS after the compressor, for the caller to apply.
    """
    gains = [10 ** (c.gain_db / 20) * (-1 if c.inverted else 1) for c in chains]
    levels = [effects.rms(x) * abs(gain) for x, gain in zip(rows, gains, strict=False)]
    effects.apply_eq(rows, [_sections((c.shelf, *c.peaks), shelf=True) for c in chains], gains)
    # The RMS after the EQ is restored by a gain inside the compressor, without a pass of its own.
    settings = [
        (c.threshold_db, c.attack_ms, c.release_ms, c.ratio, level_restoring_gain(x, level))
        for c, x, level in zip((c.compressor for c in chains), rows, levels, strict=False)
    ]
    effects.compress(rows, np.array(settings, np.float64))
    return [level_restoring_gain(x, level) for x, level in zip(rows, levels, strict=False)]


def add_track(x: np.ndarray, gain: float, chain: ChainSpec, bus: Bus) -> None:
    """Adds the track [MIX], times `gain`, and its sends to the bus; changes x."""
    left, right = (gain * side for side in pan_gains(chain.pan, chain.law))
    # 1. The limiter is linked over both channels, so the louder channel sets its threshold on the mono track.
    threshold = 10 ** (chain.limiter.threshold_db / 20) / max(left, right, 1e-9)
    if effects.peak(x) > threshold:
        x *= effects.limiter_gain(np.abs(x), threshold, chain.limiter.release_ms)
    # 2. Pan: [MIX] -> [2, MIX].
    effects.mix_in(bus.dry, x, left, right)
    # 3. The delay is linear, so it is computed before pan.
    if (d := chain.delay) is not None:
        echo = effects.delay(_band(x, d.highpass_hz, d.lowpass_hz), round(d.seconds * RATE), d.feedback)
        level = 10 ** (d.level_db / 20)
        effects.mix_in(bus.sends, echo, left * level, right * level)
    # 4. The reverb's input is the mean of both channels; its output is stereo.
    if (r := chain.reverb) is not None:
        level = 10 ** (r.level_db / 20) * (left + right) / 2
        feed = _band(x, r.highpass_hz, r.lowpass_hz)
        bus.sends += effects.reverb(feed, r.room, r.damping, r.width, level)


def _band(x: np.ndarray, highpass_hz: float, lowpass_hz: float | None) -> np.ndarray:
    """The filters in front of a send."""
    x = effects.first_order(x, *effects.high_pass(highpass_hz).astype(np.float32))
    if lowpass_hz is not None:
        x = effects.first_order(x, *effects.low_pass(lowpass_hz).astype(np.float32))
    return x


def _sections(filters: tuple[Filter, ...], *, shelf: bool) -> np.ndarray:
    """Biquads float64 [K, 5]; with `shelf` the first is a low shelf, the others are peaks."""
    designs = [effects.low_shelf if shelf and i == 0 else effects.peak_filter for i in range(len(filters))]
    sections = [design(f.hz, f.gain_db, f.q) for design, f in zip(designs, filters, strict=True)]
    return np.array(sections).reshape(-1, 5)


def level_restoring_gain(x: np.ndarray, level: float) -> float:
    """The gain that brings x back to the RMS `level`; 1 for silence."""
    now = effects.rms(x)
    return level / now if now > effects.RMS_FLOOR else 1.0


def pan_gains(pan: float, law: str) -> tuple[float, float]:
    """Gains of left and right at `pan` 0..1, scaled so that the pair keeps the track's RMS."""
    # Linear: the gains sum to 1. Power: their squares do. Compromise: the geometric mean of both.
    linear = (1 - pan, pan)
    power = (math.cos(pan * math.pi / 2), math.sin(pan * math.pi / 2))
    left, right = {
        "linear": linear,
        "power": power,
        "compromise": (math.sqrt(linear[0] * power[0]), math.sqrt(linear[1] * power[1])),  # -4.5 dB at 0.5
    }[law]
    scale = math.sqrt(2 / (left**2 + right**2))
    return left * scale, right * scale


class Master:
    """EQ, gain and limiter over the sum of all tracks; the limiter's gain curve is stored for the stems."""

    def __init__(self, master: MasterSpec, bus: Bus):
        self._eq = _sections(master.peaks, shelf=False)
        filtered = self._apply_eq(bus.dry)
        restoring = level_restoring_gain(filtered.ravel(), effects.rms(bus.dry.ravel()))
        # One gain restores the level after the EQ and applies the master's gain.
        self._gain = np.float32(restoring * 10 ** (master.gain_db / 20))
        filtered *= self._gain
        threshold = 10 ** (master.limiter.threshold_db / 20)
        level = np.maximum(np.abs(filtered[0]), np.abs(filtered[1]))  # linked: [MIX]
        self._limiter_gain = effects.limiter_gain(level, threshold, master.limiter.release_ms)
        filtered *= self._limiter_gain
        self.mix = filtered if bus.sends is bus.dry else filtered + bus.sends

    def _apply_eq(self, stereo: np.ndarray) -> np.ndarray:
        rows = np.zeros((effects.LANES, MIX), np.float32)
        # Both channels in two of the eight lanes, with the same filters.
        rows[:2] = stereo
        effects.apply_eq(rows, [self._eq, self._eq], [1.0, 1.0])
        return rows[:2].copy()

    def stem(self, track: Bus) -> np.ndarray:
        """The contribution of one track's bus to the mix, [2, MIX]."""
        own: np.ndarray = self._apply_eq(track.dry) * self._gain * self._limiter_gain
        return own if track.sends is track.dry else own + track.sends
