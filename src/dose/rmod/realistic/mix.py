"""A realistic mix: groove, kit and backing, balanced and mastered; or no drums at all.

Item `index` of a split is a pure function of (seed, split, index) and the sample library.
"""

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from dose.audio import RATE
from dose.rmod.realistic.audible import audible_hits
from dose.rmod.realistic.backing import BackingSpec, draw_backing, draw_solo, render_backing
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic.grooves import TRACKS, Groove, draw_groove
from dose.rmod.realistic.interference import Interference, draw_interference, render_interference
from dose.rmod.realistic.kit import KitSpec, draw_kit, render_tracks
from dose.rmod.rng import SPLIT_KEYS

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

KEY = 1 << 62  # divides this distribution's random numbers from those of the paper's


@dataclasses.dataclass(frozen=True, kw_only=True)
class MasterSpec:
    """The sum's processing, in this order; a value that is not used is None."""

    drums_db: float  # RMS of the drums against the backing's
    room: float | None  # reverb of the drums: size 0..1
    room_level: float
    compressor_db: float | None  # threshold
    ratio: float
    eq_db: tuple[float, ...]  # gains at EQ_HZ, interpolated between
    lowpass_hz: float | None
    noise_db: float | None  # of white noise, against the mix's RMS
    drive_db: float | None  # into a soft clipper
    peak: float


EQ_HZ = (30.0, 90.0, 270.0, 800.0, 2400.0, 7200.0, 20000.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealisticSpec:
    """One mix: everything that is drawn."""

    split: str
    index: int
    seconds: float
    groove: Groove | None  # None: no drums
    kit: KitSpec | None
    backing: BackingSpec | None  # None: the drums are alone
    interference: Interference | None  # speech, noise, tones, instead of music
    master: MasterSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealisticMix:
    """A rendered mix and what is known of it."""

    audio: np.ndarray  # float32 [N], mono
    hits: dict[str, tuple[tuple[float, int], ...]]  # track -> (seconds, velocity)
    audible: dict[str, tuple[bool, ...]]  # track -> of each hit, whether it is audible
    groove: Groove | None


def draw(config: RealisticConfig, library: "SampleLibrary", split: str, index: int) -> RealisticSpec:
    """The specification of mix `index`. Raises ValueError for an unknown split."""
    if split not in SPLIT_KEYS:
        raise ValueError(f"there is no split {split!r}")
    key = np.array([config.seed, KEY + SPLIT_KEYS[split]], np.uint64)
    rng = np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, index, 0], np.uint64)))
    # 1. With drums or without, with a backing or without.
    kind = rng.random()
    free, bare = config.drum_free, config.bare
    groove = draw_groove(rng, config.seconds) if kind >= free else None
    if groove is not None and rng.random() < config.single_drum:
        groove = _single(rng, groove)
    interference = backing = None
    sort = rng.random()
    if groove is None and sort < 0.4:
        interference = draw_interference(rng)
    elif groove is None and sort < 0.7:
        backing = draw_solo(rng, library, split, config.seconds)
    elif groove is None or kind >= free + bare:
        backing = draw_backing(
            rng, library, split, groove or draw_groove(rng, config.seconds), config.seconds
        )
    kit = draw_kit(rng, library, split, groove) if groove else None
    return RealisticSpec(
        split=split,
        index=index,
        seconds=config.seconds,
        groove=groove,
        kit=kit,
        backing=backing,
        interference=interference,
        master=_draw_master(rng),
    )


def _single(rng: np.random.Generator, groove: Groove) -> Groove:
    """The groove with one of its tracks alone, often with few hits."""
    track = str(rng.choice([t for t in TRACKS if groove.hits[t]] or list(TRACKS)))
    hits = groove.hits[track]
    if rng.random() < 0.4 and hits:
        hits = tuple(h for h in hits if rng.random() < 0.2) or hits[:1]
    return dataclasses.replace(groove, hits={t: hits if t == track else () for t in TRACKS})


def _draw_master(rng: np.random.Generator) -> MasterSpec:
    """By hand, wide around what finished music holds."""

    def sometimes(probability: float, low: float, high: float) -> float | None:
        value = float(rng.uniform(low, high))
        return value if rng.random() < probability else None

    return MasterSpec(
        drums_db=float(rng.uniform(-10, 7)),
        room=sometimes(0.45, 0.1, 0.9),
        room_level=float(rng.uniform(0.02, 0.25)),
        compressor_db=sometimes(0.5, -28, -8),
        ratio=float(rng.uniform(1.5, 8)),
        eq_db=tuple(float(g) for g in rng.normal(0, rng.uniform(0, 4), len(EQ_HZ))),
        lowpass_hz=sometimes(0.12, 6000, 17000),
        noise_db=sometimes(0.12, -60, -30),
        drive_db=sometimes(0.5, -6, 14),
        peak=float(rng.uniform(0.2, 1.0)),
    )


def render(spec: RealisticSpec, library: "SampleLibrary", *, without: Collection[str] = ()) -> RealisticMix:
    """The mix of a specification; tracks of the kit in `without` are taken out, and nothing else changes.

    Raises as `SampleLibrary.audio`.
    """
    samples = int(spec.seconds * RATE)
    tracks: dict[str, np.ndarray] = {}
    if spec.kit is not None and spec.groove is not None:
        tracks = render_tracks(spec.kit, spec.groove, library, samples)
    all_drums = _in_room(_sum(tracks.values(), samples), spec.master)
    tracks = {name: track for name, track in tracks.items() if name not in without}
    drums = _in_room(_sum(tracks.values(), samples), spec.master) if without else all_drums
    mix: np.ndarray = drums
    if spec.backing is not None:
        backing = render_backing(spec.backing, library, samples)
        mix = drums + backing * _gain(all_drums, backing, spec.master.drums_db)
    elif spec.interference is not None:
        mix = render_interference(spec.interference, samples)
    hits = (
        {t: tuple((h.seconds, h.velocity) for h in spec.groove.hits[t]) for t in tracks}
        if spec.groove
        else {}
    )
    audible = audible_hits(tracks, mix, {t: [seconds for seconds, _ in h] for t, h in hits.items()})
    return RealisticMix(audio=_master(mix, spec), hits=hits, audible=audible, groove=spec.groove)


def _sum(tracks: Iterable[np.ndarray], samples: int) -> np.ndarray:
    out = np.zeros(samples, np.float32)
    for track in tracks:
        out += track
    return out


def stream(
    config: RealisticConfig, library: "SampleLibrary", split: str, start: int, stop: int
) -> Iterator[RealisticMix]:
    """Mixes start..stop of a split, rendered in order."""
    for index in range(start, stop):
        yield render(draw(config, library, split, index), library)


def _gain(drums: np.ndarray, backing: np.ndarray, drums_db: float) -> np.float32:
    """The gain of the backing at which the drums stand `drums_db` above it, by RMS; 1 without drums."""
    own, other = (float(np.sqrt(np.mean(x**2))) for x in (drums, backing))
    return np.float32(own / max(other, 1e-6) * 10 ** (-drums_db / 20)) if own > 1e-6 else np.float32(1)


def _in_room(drums: np.ndarray, master: MasterSpec) -> np.ndarray:
    import pedalboard

    if master.room is None or not drums.any():
        return drums
    reverb = pedalboard.Reverb(
        room_size=master.room, damping=0.4, wet_level=master.room_level, dry_level=1.0, width=0.0
    )
    out: np.ndarray = reverb(drums[None], RATE)[0]
    return out


def _master(mix: np.ndarray, spec: RealisticSpec) -> np.ndarray:
    """EQ, compressor, noise and soft clipper of the sum; float32 [N] with the peak that was drawn."""
    import pedalboard

    master = spec.master
    # 1. EQ: gains between EQ_HZ are interpolated on the octave axis; the steep low-pass is part of it.
    size = 1 << int(np.ceil(np.log2(len(mix))))
    hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1)
    gain = 10 ** (np.interp(np.log2(hz), np.log2(EQ_HZ), master.eq_db) / 20)
    if master.lowpass_hz is not None:
        gain /= np.sqrt(1 + (hz / master.lowpass_hz) ** 16)
    filtered = np.fft.irfft(np.fft.rfft(mix, size) * gain, size)[: len(mix)]
    mix = (filtered / max(np.abs(filtered).max(), 1e-6)).astype(np.float32)
    # 2. Dynamics.
    if master.compressor_db is not None:
        compressor = pedalboard.Compressor(master.compressor_db, master.ratio, attack_ms=5)
        mix = compressor(mix[None], RATE)[0]
    if master.noise_db is not None:
        rng = np.random.Generator(np.random.Philox(key=[spec.index, KEY]))
        level = float(np.sqrt(np.mean(mix**2))) * 10 ** (master.noise_db / 20)
        mix = mix + rng.standard_normal(len(mix), np.float32) * np.float32(level)
    if master.drive_db is not None:
        mix = np.tanh(
            mix / np.float32(max(np.abs(mix).max(), 1e-6)) * np.float32(10 ** (master.drive_db / 20))
        )
    out: np.ndarray = (mix * np.float32(master.peak / max(float(np.abs(mix).max()), 1e-6))).astype(np.float32)
    return out
