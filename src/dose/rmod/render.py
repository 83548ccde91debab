"""Recipe to audio: the same recipe and bank give the same bytes, in any process and any order."""

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
from dose.rmod.recipe import Chain, Drum, Filter, Layer, Loop, Master, Recipe

if TYPE_CHECKING:
    from dose.sources.catalogue import Bank

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
    recipe: Recipe, bank: "Bank", config: RmodConfig, *, drums_only: bool = False, stems: bool = False
) -> Rendered:
    """Raises MissingInputError when a clip of the recipe has gone from the bank."""
    shots = {name: shot(drum, bank) for name, drum in recipe.drums.items()}
    tracks = [(name, place(drum, shots[name]), drum.chain) for name, drum in recipe.drums.items()]
    if not drums_only:
        tracks += [(name, _loop(loop, bank, config), loop.chain) for name, loop in recipe.loops.items()]
    dry = np.zeros((2, MIX), np.float32)
    sent = np.zeros((2, MIX), np.float32)
    parts = {}
    for name, x, chain in tracks:
        own_dry, own_sent = _track(x, chain)
        dry += own_dry
        sent += own_sent
        if stems:
            parts[name] = (own_dry, own_sent)
    late = config.master.sends == "after"
    desk = _Master(recipe.master, dry if late else dry + sent)
    return Rendered(
        mix=desk.mix + sent if late else desk.mix,
        shots=shots,
        hits={name: tuple(o / RATE for o in drum.onsets) for name, drum in recipe.drums.items()},
        stems={n: desk.share(d) + s if late else desk.share(d + s) for n, (d, s) in parts.items()}
        if stems
        else None,
    )


def shot(drum: Drum, bank: "Bank") -> Array:
    """The one-shot that the model is to find: layered, varied, peak 1. Float32 [SHOT]."""
    mixed = np.zeros(SHOT, np.float32)
    for layer in drum.layers:
        mixed += np.float32(layer.weight) * _layer(layer, bank)
    if drum.decay_seconds is not None:
        fall = math.log(1000) / (drum.decay_seconds * RATE)
        mixed *= np.exp(-fall * np.arange(SHOT)).astype(np.float32)
    if drum.tilt_db != 0:
        shelf = effects.high_shelf(drum.tilt_hz, drum.tilt_db, math.sqrt(0.5))
        mixed = effects.biquads(mixed, shelf[None].astype(np.float32))
    return audio.normalise_peak(audio.fade_out(mixed, FADE))


def _layer(layer: Layer, bank: "Bank") -> Array:
    """A clip played faster or slower, [SHOT]."""
    x = bank.audio(layer.clip)
    if layer.semitones != 0:
        import soxr

        x = soxr.resample(x, RATE * 2 ** (layer.semitones / 12), RATE, quality="MQ")
    return audio.fit_length(x, SHOT)


def place(drum: Drum, sound: Array) -> Array:
    """The drum's track [MIX]: every hit cuts what is left of the one before."""
    track = np.zeros(MIX, np.float32)
    ends = (*drum.onsets[1:], MIX)
    for onset, end, velocity in zip(drum.onsets, ends, drum.velocities, strict=True):
        stop = min(end, onset + sound.size, MIX)
        track[onset:stop] = sound[: stop - onset] * np.float32((velocity + 1) / 128)
        track[stop:end] = 0
    return track


def _loop(loop: Loop, bank: "Bank", config: RmodConfig) -> Array:
    """The instrument's track [MIX]: its slice, transposed, repeated until the mix is full."""
    piece = loop.start // MIX  # whole pieces are transposed, so that their halves share the work
    key = (bank.id, loop.clip, piece, loop.semitones, config.pitch)
    cache = _cache(config.pitch_cache_mb * 2**20)
    sound = cache.get(key)
    if sound is None:
        sound = bank.audio(loop.clip)[piece * MIX : (piece + 1) * MIX]
        if loop.semitones:
            sound = cache.put(key, pitch.METHODS[config.pitch](sound, loop.semitones))
    cut = sound[loop.start - piece * MIX :][: loop.length]
    return np.resize(cut, MIX)


@functools.cache
def _cache(limit: int) -> pitch.Cache:
    return pitch.Cache(limit)


def _track(x: Array, chain: Chain) -> tuple[Array, Array]:
    """The track [MIX] as the master hears it: itself [2, MIX] and its sends [2, MIX]."""
    gain = audio.from_db(chain.gain_db) * (-1 if chain.inverted else 1)
    x = x * np.float32(gain)
    level = effects.rms(x)
    c = chain.compressor
    x = _at_level(effects.biquads(x, _sections((chain.shelf, *chain.peaks), shelf=True)), level)
    x = _at_level(effects.compress(x, c.threshold_db, c.attack_ms, c.release_ms, c.ratio), level)
    left, right = pan_gains(chain.pan, chain.law)
    # The limiter is linked over both channels, so that pan stays a pair of numbers.
    threshold = float(audio.from_db(chain.limiter.threshold_db)) / max(left, right)
    if audio.peak(x) > threshold:
        x *= effects.limiter_gain(np.abs(x), threshold, chain.limiter.release_ms)
    sides = np.array([[left], [right]], np.float32)
    return sides * x, _sends(x, chain, sides)


def _sends(x: Array, chain: Chain, sides: Array) -> Array:
    sent = np.zeros((2, MIX), np.float32)
    if (d := chain.delay) is not None:
        echo = effects.delay(_band(x, d.highpass_hz, d.lowpass_hz), round(d.seconds * RATE), d.feedback)
        sent += sides * echo * np.float32(audio.from_db(d.level_db))
    if (r := chain.reverb) is not None:
        wet = effects.reverb(_band(x, r.highpass_hz, r.lowpass_hz), r.room, r.damping, r.width)
        # The reverb hears the sum of both channels.
        sent += wet * (sides.mean() * np.float32(audio.from_db(r.level_db)))
    return sent


def _band(x: Array, highpass_hz: float, lowpass_hz: float | None) -> Array:
    sections = [effects.high_pass(highpass_hz)]
    if lowpass_hz is not None:
        sections.append(effects.low_pass(lowpass_hz))
    return effects.biquads(x, np.array(sections, np.float32))


def _sections(filters: tuple[Filter, ...], *, shelf: bool) -> Array:
    """Float32 [K, 5]; with `shelf` the first is a low shelf, the others are peaks."""
    kinds = [effects.low_shelf if shelf and i == 0 else effects.peak_filter for i in range(len(filters))]
    rows = [kind(f.hz, f.gain_db, f.q) for kind, f in zip(kinds, filters, strict=True)]
    return np.array(rows, np.float32).reshape(-1, 5)


def _at_level(x: Array, level: float) -> Array:
    now = effects.rms(x)
    return x * np.float32(level / now) if now > effects.RMS_FLOOR else x


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

    def __init__(self, master: Master, bus: Array):
        self._eq = _sections(master.peaks, shelf=False)
        equalised = self._filter(bus)
        before, after = effects.rms(bus.ravel()), effects.rms(equalised.ravel())
        scale = before / after if after > effects.RMS_FLOOR else 1.0
        self._gain = np.float32(scale * audio.from_db(master.gain_db))
        loud = equalised * self._gain
        threshold = float(audio.from_db(master.limiter.threshold_db))
        self._limit = effects.limiter_gain(np.abs(loud).max(axis=0), threshold, master.limiter.release_ms)
        self.mix = loud * self._limit

    def _filter(self, stereo: Array) -> Array:
        return np.stack([effects.biquads(np.ascontiguousarray(side), self._eq) for side in stereo])

    def share(self, part: Array) -> Array:
        """What `part` [2, MIX] of the bus is in the mix."""
        return self._filter(part) * self._gain * self._limit
