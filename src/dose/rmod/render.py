"""Mix specification to audio: equal specification and library give equal bytes, in any process and order."""

import contextlib
import ctypes
import dataclasses
import functools
import math
from typing import TYPE_CHECKING

import numpy as np

from dose import audio
from dose.audio import RATE
from dose.drums import SHOT_SECONDS
from dose.rmod import effects, pitch
from dose.rmod.config import RmodConfig
from dose.rmod.mix_spec import DrumSpec, LayerSpec, LoopSpec, MixSpec
from dose.rmod.mixer import MIX, Bus, Master, add_track, apply_eq_and_compress

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

ONE_SHOT = int(SHOT_SECONDS * RATE)  # samples
FADE = 441  # samples (10 ms) at the end of a one-shot, so that the cut at 1 s makes no click


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rendered:
    """One item. `stems` add up to `mix` (to rounding): each track's contribution to the finished mix."""

    mix: np.ndarray  # float32 [2, MIX]
    shots: dict[str, np.ndarray]  # one-shot of each drum, float32 [ONE_SHOT], peak 1
    hits: dict[str, tuple[float, ...]]  # onsets of each drum, seconds
    stems: dict[str, np.ndarray] | None  # float32 [2, MIX]; instruments that do not play are missing


def render(
    spec: MixSpec,
    library: "SampleLibrary",
    config: RmodConfig,
    *,
    drums_only: bool = False,
    stems: bool = False,
) -> Rendered:
    """The mix, one-shots and onsets of one specification.

    Raises MissingInputError when the library does not have a clip of the specification.
    """
    _keep_freed_memory()
    # 1. One mono row per track: drums first, then the instruments that play. [8, MIX]
    one_shots = {name: one_shot(drum, library) for name, drum in spec.drums.items()}
    loops = {} if drums_only else spec.loops
    chains = {name: drum.chain for name, drum in spec.drums.items()}
    chains |= {name: loop.chain for name, loop in loops.items()}
    rows = np.zeros((effects.LANES, MIX), np.float32)
    for row, (name, drum) in zip(rows, spec.drums.items(), strict=False):
        row[:] = place(drum, one_shots[name])
    for row, loop in zip(rows[len(one_shots) :], loops.values(), strict=False):
        row[:] = _loop(loop, library, config)
    # 2. EQ and compressor of all rows side by side, then each track through its own bus to the sum. The
    # tracks have a bus each even where no stems are wanted, so that the order of sums, and the bytes, are the
    # same.
    gains = apply_eq_and_compress(rows, list(chains.values()))
    after = config.master.sends == "after"
    total = Bus(sends_after_limiter=after)
    tracks = {}
    for name, x, gain in zip(chains, rows, gains, strict=False):
        track = Bus(sends_after_limiter=after)
        add_track(x, gain, chains[name], track)
        total.add(track)
        if stems:
            tracks[name] = track
    # 3. The master.
    master = Master(spec.master, total)
    return Rendered(
        mix=master.mix,
        shots=one_shots,
        hits={name: tuple(o / RATE for o in drum.onsets) for name, drum in spec.drums.items()},
        stems={name: master.stem(track) for name, track in tracks.items()} if stems else None,
    )


def one_shot(drum: DrumSpec, library: "SampleLibrary") -> np.ndarray:
    """The reference one-shot: layered, augmented, peak 1. Float32 [ONE_SHOT]."""
    mixed = np.zeros(ONE_SHOT, np.float32)
    for layer in drum.layers:
        mixed += np.float32(layer.weight) * _layer(layer, library)
    if drum.decay_seconds is not None:
        rate = math.log(1000) / (drum.decay_seconds * RATE)  # -60 dB after decay_seconds
        mixed *= np.exp(-rate * np.arange(ONE_SHOT)).astype(np.float32)
    if drum.tilt_db != 0:
        shelf = effects.high_shelf(drum.tilt_hz, drum.tilt_db, math.sqrt(0.5))
        mixed = effects.biquads(mixed, shelf[None])
    return audio.normalise_peak(audio.fade_out(mixed, FADE))


def _layer(layer: LayerSpec, library: "SampleLibrary") -> np.ndarray:
    """A clip played faster or slower, [ONE_SHOT]."""
    x = library.audio(layer.clip)
    if layer.semitones != 0:
        import soxr

        x = soxr.resample(x, RATE * 2 ** (layer.semitones / 12), RATE, quality="MQ")
    return audio.fit_length(x, ONE_SHOT)


def place(drum: DrumSpec, sound: np.ndarray) -> np.ndarray:
    """The drum's track [MIX]: every hit cuts off the tail of the one before."""
    track = np.zeros(MIX, np.float32)
    ends = (*drum.onsets[1:], MIX)
    for onset, end, velocity in zip(drum.onsets, ends, drum.velocities, strict=True):
        # Until the next hit, the end of the one-shot or the end of the mix.
        stop = min(end, onset + sound.size, MIX)
        track[onset:stop] = sound[: stop - onset] * np.float32((velocity + 1) / 128)
        track[stop:end] = 0
    return track


def _loop(loop: LoopSpec, library: "SampleLibrary", config: RmodConfig) -> np.ndarray:
    """The instrument's track [MIX]: its slice, transposed, repeated until the mix is full."""
    piece = loop.start // MIX  # whole pieces are transposed, so that both halves use one cache entry
    # The library's id and the method are part of the key: one cache serves all configs of a process.
    key = (library.id, loop.clip, piece, loop.semitones, config.pitch)
    cache = _cache(config.pitch_cache_mb * 2**20)
    sound = cache.get(key)
    if sound is None:
        sound = library.audio(loop.clip)[piece * MIX : (piece + 1) * MIX]
        if loop.semitones:
            sound = cache.put(key, pitch.METHODS[config.pitch](sound, loop.semitones))
    # The slice within its piece: all of it, or one of its halves.
    cut = sound[loop.start - piece * MIX :][: loop.length]
    return np.resize(cut, MIX)


@functools.cache
def _keep_freed_memory() -> None:
    """Tells glibc to reuse freed memory instead of returning it to the kernel.

    Every effect allocates and frees sounds of a megabyte. With glibc's defaults the kernel finds and clears
    new pages each time, which is a sixth of the rendering time. Other C libraries ignore this.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(-3, 32 * 2**20)  # M_MMAP_THRESHOLD: smaller blocks come from the heap
        libc.mallopt(-1, 128 * 2**20)  # M_TRIM_THRESHOLD: free memory at the heap's end that stays allocated


@functools.cache
def _cache(limit: int) -> pitch.PitchCache:
    return pitch.PitchCache(limit)
