"""Recipe to audio: the same recipe and bank give the same bytes, in any process and any order."""

import contextlib
import ctypes
import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import MIX_SECONDS, SHOT_SECONDS
from dose.rmod import effects, pitch
from dose.rmod.config import RmodConfig
from dose.rmod.mix_spec import ChainSpec, DrumSpec, Filter, LayerSpec, LoopSpec, MasterSpec, MixSpec

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

MIX = int(MIX_SECONDS * RATE)
SHOT = int(SHOT_SECONDS * RATE)
FADE = 441  # samples; a shot that is cut at 1 s ends without a click
Array = np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendered:
    """One item. `stems` add up to `mix` (to rounding): what each track is in the finished mix."""

    mix: Array  # float32 [2, MIX]
    shots: dict[str, Array]  # float32 [SHOT], peak 1
    hits: dict[str, tuple[float, ...]]  # seconds
    stems: dict[str, Array] | None  # float32 [2, MIX]; instruments that do not play are missing


def render(
    spec: MixSpec,
    library: "SampleLibrary",
    config: RmodConfig,
    *,
    drums_only: bool = False,
    stems: bool = False,
) -> Rendered:
    """Raises MissingInputError when a clip of the recipe has gone from the bank."""
    _keep_freed_memory()
    shots = {name: shot(drum, library) for name, drum in spec.drums.items()}
    loops = {} if drums_only else spec.loops
    chains = {name: drum.chain for name, drum in spec.drums.items()}
    chains |= {name: loop.chain for name, loop in loops.items()}
    rows = np.zeros((effects.LANES, MIX), np.float32)
    for row, (name, drum) in zip(rows, spec.drums.items(), strict=False):
        row[:] = place(drum, shots[name])
    for row, loop in zip(rows[len(shots) :], loops.values(), strict=False):
        row[:] = _loop(loop, library, config)
    back = _strips(rows, list(chains.values()))
    late = config.master.sends == "after"
    bus = _Bus(late)
    parts = {}
    for name, x, gain in zip(chains, rows, back, strict=False):
        own = _Bus(late)  # also where no stems are asked for: the order of sums is the same either way
        _sends(x, gain, chains[name], own)
        bus.add(own)
        if stems:
            parts[name] = own
    desk = _Master(spec.master, bus)
    return Rendered(
        mix=desk.mix,
        shots=shots,
        hits={name: tuple(o / RATE for o in drum.onsets) for name, drum in spec.drums.items()},
        stems={name: desk.share(part) for name, part in parts.items()} if stems else None,
    )


class _Bus:
    """What is on its way to the master: tracks and their sends, [2, MIX] each; one array where they join."""

    def __init__(self, late_sends: bool):
        self.dry = np.zeros((2, MIX), np.float32)
        self.sent = np.zeros((2, MIX), np.float32) if late_sends else self.dry

    def add(self, other: "_Bus") -> None:
        self.dry += other.dry
        if self.sent is not self.dry:
            self.sent += other.sent


def shot(drum: DrumSpec, library: "SampleLibrary") -> Array:
    """The one-shot that the model is to find: layered, varied, peak 1. Float32 [SHOT]."""
    mixed = np.zeros(SHOT, np.float32)
    for layer in drum.layers:
        mixed += np.float32(layer.weight) * _layer(layer, library)
    if drum.decay_seconds is not None:
        fall = math.log(1000) / (drum.decay_seconds * RATE)
        mixed *= np.exp(-fall * np.arange(SHOT)).astype(np.float32)
    if drum.tilt_db != 0:
        shelf = effects.high_shelf(drum.tilt_hz, drum.tilt_db, math.sqrt(0.5))
        mixed = effects.biquads(mixed, shelf[None])
    return audio.normalise_peak(audio.fade_out(mixed, FADE))


def _layer(layer: LayerSpec, library: "SampleLibrary") -> Array:
    """A clip played faster or slower, [SHOT]."""
    x = library.audio(layer.clip)
    if layer.semitones != 0:
        import soxr

        x = soxr.resample(x, RATE * 2 ** (layer.semitones / 12), RATE, quality="MQ")
    return audio.fit_length(x, SHOT)


def place(drum: DrumSpec, sound: Array) -> Array:
    """The drum's track [MIX]: every hit cuts what is left of the one before."""
    track = np.zeros(MIX, np.float32)
    ends = (*drum.onsets[1:], MIX)
    for onset, end, velocity in zip(drum.onsets, ends, drum.velocities, strict=True):
        stop = min(end, onset + sound.size, MIX)
        track[onset:stop] = sound[: stop - onset] * np.float32((velocity + 1) / 128)
        track[stop:end] = 0
    return track


def _loop(loop: LoopSpec, library: "SampleLibrary", config: RmodConfig) -> Array:
    """The instrument's track [MIX]: its slice, transposed, repeated until the mix is full."""
    piece = loop.start // MIX  # whole pieces are transposed, so that their halves share the work
    key = (library.id, loop.clip, piece, loop.semitones, config.pitch)
    cache = _cache(config.pitch_cache_mb * 2**20)
    sound = cache.get(key)
    if sound is None:
        sound = library.audio(loop.clip)[piece * MIX : (piece + 1) * MIX]
        if loop.semitones:
            sound = cache.put(key, pitch.METHODS[config.pitch](sound, loop.semitones))
    cut = sound[loop.start - piece * MIX :][: loop.length]
    return np.resize(cut, MIX)


@functools.cache
def _keep_freed_memory() -> None:
    """Sounds of a megabyte come and go with every effect; left to itself, glibc gives their pages back and
    has the kernel find and clear new ones each time, a sixth of the work. Other C libraries ignore this.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD: smaller blocks come from the heap
        libc.mallopt(-1, 128 * 2**20)  # M_TRIM_THRESHOLD: the heap keeps this much


@functools.cache
def _cache(limit: int) -> pitch.PitchCache:
    return pitch.PitchCache(limit)


def _strips(rows: Array, chains: list[ChainSpec]) -> list[float]:
    """Gain, EQ and compressor of all tracks at once, in place; the gains that return them to their level."""
    gains = [10 ** (c.gain_db / 20) * (-1 if c.inverted else 1) for c in chains]
    levels = [effects.rms(x) * abs(gain) for x, gain in zip(rows, gains, strict=False)]
    effects.equalise(rows, [_sections((c.shelf, *c.peaks), shelf=True) for c in chains], gains)
    settings = [
        (c.threshold_db, c.attack_ms, c.release_ms, c.ratio, _level_return(x, level))
        for c, x, level in zip((c.compressor for c in chains), rows, levels, strict=False)
    ]
    effects.compress(rows, np.array(settings, np.float64))
    return [_level_return(x, level) for x, level in zip(rows, levels, strict=False)]


def _sends(x: Array, back: float, chain: ChainSpec, bus: _Bus) -> None:
    """Adds the track [MIX], times `back`, and its sends to the bus."""
    left, right = (back * side for side in pan_gains(chain.pan, chain.law))
    # The limiter is linked over both channels, so that pan stays a pair of numbers.
    threshold = 10 ** (chain.limiter.threshold_db / 20) / max(left, right, 1e-9)
    if effects.peak(x) > threshold:
        x *= effects.limiter_gain(np.abs(x), threshold, chain.limiter.release_ms)
    effects.mix_in(bus.dry, x, left, right)
    if (d := chain.delay) is not None:
        echo = effects.delay(_band(x, d.highpass_hz, d.lowpass_hz), round(d.seconds * RATE), d.feedback)
        loudness = 10 ** (d.level_db / 20)
        effects.mix_in(bus.sent, echo, left * loudness, right * loudness)
    if (r := chain.reverb) is not None:
        # The reverb hears the mean of both channels.
        loudness = 10 ** (r.level_db / 20) * (left + right) / 2
        feed = _band(x, r.highpass_hz, r.lowpass_hz)
        bus.sent += effects.reverb(feed, r.room, r.damping, r.width, loudness)


def _band(x: Array, highpass_hz: float, lowpass_hz: float | None) -> Array:
    x = effects.first_order(x, *effects.high_pass(highpass_hz).astype(np.float32))
    if lowpass_hz is not None:
        x = effects.first_order(x, *effects.low_pass(lowpass_hz).astype(np.float32))
    return x


def _sections(filters: tuple[Filter, ...], *, shelf: bool) -> Array:
    """Float64 [K, 5]; with `shelf` the first is a low shelf, the others are peaks."""
    kinds = [effects.low_shelf if shelf and i == 0 else effects.peak_filter for i in range(len(filters))]
    rows = [kind(f.hz, f.gain_db, f.q) for kind, f in zip(kinds, filters, strict=True)]
    return np.array(rows).reshape(-1, 5)


def _level_return(x: Array, level: float) -> float:
    """The gain that brings x back to the RMS `level`; 1 for silence."""
    now = effects.rms(x)
    return level / now if now > effects.RMS_FLOOR else 1.0


def pan_gains(pan: float, law: str) -> tuple[float, float]:
    """Gains of left and right at `pan` 0..1, scaled so that the pair keeps the track's RMS."""
    linear = (1 - pan, pan)
    power = (math.cos(pan * math.pi / 2), math.sin(pan * math.pi / 2))
    left, right = {
        "linear": linear,
        "power": power,
        "compromise": (math.sqrt(linear[0] * power[0]), math.sqrt(linear[1] * power[1])),
    }[law]
    scale = math.sqrt(2 / (left**2 + right**2))
    return left * scale, right * scale


class _Master:
    """EQ, gain and limiter over the sum of all tracks; the limiter's gain is kept for the stems."""

    def __init__(self, master: MasterSpec, bus: _Bus):
        self._eq = _sections(master.peaks, shelf=False)
        loud = self._filter(bus.dry)
        back = _level_return(loud.ravel(), effects.rms(bus.dry.ravel()))
        self._gain = np.float32(back * 10 ** (master.gain_db / 20))
        loud *= self._gain
        threshold = 10 ** (master.limiter.threshold_db / 20)
        level = np.maximum(np.abs(loud[0]), np.abs(loud[1]))
        self._limit = effects.limiter_gain(level, threshold, master.limiter.release_ms)
        loud *= self._limit
        self.mix = loud if bus.sent is bus.dry else loud + bus.sent

    def _filter(self, stereo: Array) -> Array:
        rows = np.zeros((effects.LANES, MIX), np.float32)
        rows[:2] = stereo
        effects.equalise(rows, [self._eq, self._eq], [1.0, 1.0])
        return rows[:2].copy()

    def share(self, part: _Bus) -> Array:
        """What `part` of the bus is in the mix, [2, MIX]."""
        own = self._filter(part.dry) * self._gain * self._limit
        return own if part.sent is part.dry else own + part.sent
