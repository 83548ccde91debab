"""The drum kit of a realistic mix: one sound per track, how loud it is, and its hits placed in time."""

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from dose.audio import RATE
from dose.rmod.realistic.grooves import TRACKS, Groove, GrooveHit

if TYPE_CHECKING:
    from dose.sources.library import Clip, SampleLibrary

# Track -> class and variants of the sample library; a hat without a known variant is used for neither.
CLIPS = {
    "kick": ("kick", None),
    "snare": ("snare", None),
    "closed_hihat": ("hihat", ("closed", "pedal")),
    "open_hihat": ("hihat", ("open", "half-open")),
    "clap": ("clap", None),
    "tom": ("tom", None),
    "cymbal": ("cymbal", None),
    "percussion": ("percussion", None),
}
# Peak in dB against the kick's: by hand, wide around what mixes hold (hats 6 to 18 dB under the kick).
LEVELS_DB = {
    "kick": (0, 0), "snare": (-7, 3), "closed_hihat": (-18, -6), "open_hihat": (-17, -5), "clap": (-10, 1),
    "tom": (-8, 2), "cymbal": (-15, -4), "percussion": (-20, -7),
}  # fmt: skip
ONE_KIT = 0.5  # probability that a track takes a sound of the kick's kit, where that kit has one
RECORDED = 0.75  # share of recordings among the sounds, where there are both; by hand
# Seconds: the least time to -60 dB of an added envelope. Below, an open hi-hat is a closed one.
LEAST_DECAY = {"open_hihat": 0.7, "cymbal": 1.0, "tom": 0.3}
TOMS = (0.0, -3.0, -7.0)  # semitones of the three toms of a kit
VELOCITY_STEPS = 4  # versions of a sound that differ in brightness, soft to loud
SILENT_END = 1e-3  # of the peak: where a sound's tail is cut off


LAYERED = 0.4  # probability that a second sound of the class is layered under the first; by hand
EQ_HZ = (40.0, 160.0, 640.0, 2560.0, 10240.0)  # points of a sound's own equaliser


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A second sound under the first."""

    clip: str
    semitones: float
    weight: float  # amplitude against the first


@dataclasses.dataclass(frozen=True, kw_only=True)
class KitSound:
    """The sound of one track and its augmentation."""

    clip: str
    semitones: float  # by which it is played faster
    layer: Layer | None = None
    eq_db: tuple[float, ...] = ()  # gains at EQ_HZ, interpolated between; () leaves the sound as it is
    punch: float = 0.0  # the attack's first milliseconds are 1 + punch times as loud
    punch_seconds: float = 0.01  # time constant of the punch
    decay_seconds: float | None  # time to -60 dB of an added envelope
    tilt_db: float  # of a tilt around 1 kHz: highs minus lows
    dull_db: float  # by which the softest hit is duller than the loudest
    level_db: float  # of the peak, against the kick's
    power: float  # exponent of velocity -> amplitude
    choked: bool  # whether each hit ends the one before


@dataclasses.dataclass(frozen=True, kw_only=True)
class KitSpec:
    """The sounds of the tracks, and the sine under a long kick."""

    sounds: dict[str, KitSound]
    sub_hz: float  # 0: none
    sub_seconds: float  # time to -60 dB


def draw_kit(rng: np.random.Generator, library: "SampleLibrary", split: str, groove: Groove) -> KitSpec:
    """A kit for the groove's tracks from the clips of a split; a track without clips stays silent."""
    sounds: dict[str, KitSound] = {}
    kit = None
    for track in TRACKS:
        clips = _clips(library, split, track)
        if not clips:
            continue
        # 1. A recording or a synthetic sound, often of the kick's kit.
        recorded = [c for c in clips if c.source != "procedural"]
        synthetic = [c for c in clips if c.source == "procedural"]
        pool = (recorded if rng.random() < RECORDED else synthetic) or clips
        own = [c for c in recorded if c.kit == kit]
        if own and rng.random() < ONE_KIT:
            pool = own
        # Kits are equally likely, however many strokes each has.
        names = sorted({c.kit for c in pool})
        name = names[int(rng.integers(len(names)))]
        pool = [c for c in pool if c.kit == name]
        clip = pool[int(rng.integers(len(pool)))]
        kit = clip.kit if track == "kick" and clip.source != "procedural" else kit
        # 2. Its augmentation: two of three sounds are changed.
        changed = rng.random() < 0.67
        others = recorded or clips
        under = others[int(rng.integers(len(others)))] if rng.random() < LAYERED else clip
        layer = Layer(clip=under.id, semitones=float(rng.uniform(-5, 5)), weight=float(rng.uniform(0.2, 0.8)))
        sounds[track] = KitSound(
            clip=clip.id,
            layer=None if under == clip else layer,
            eq_db=tuple(float(g) for g in rng.normal(0, 4, len(EQ_HZ))) if changed else (),
            punch=float(rng.uniform(-0.5, 2)) * changed,
            punch_seconds=float(np.exp(rng.uniform(np.log(0.002), np.log(0.03)))),
            semitones=float(rng.uniform(-4, 4)) * changed,
            decay_seconds=_decay(rng, track) if changed else None,
            tilt_db=float(rng.uniform(-6, 6)) * changed,
            dull_db=float(rng.uniform(0, 14)) * (rng.random() < 0.6),
            level_db=float(rng.uniform(*LEVELS_DB[track])),
            power=float(rng.uniform(1.0, 2.0)),
            choked=bool(rng.random() < 0.5),
        )
    long_kick = groove.long_kick
    return KitSpec(
        sounds=sounds,
        sub_hz=float(rng.uniform(36, 62)) if long_kick else 0.0,
        sub_seconds=float(rng.uniform(0.6, 2.5)) if long_kick else 0.0,
    )


def _decay(rng: np.random.Generator, track: str) -> float:
    return float(np.exp(rng.uniform(np.log(LEAST_DECAY.get(track, 0.15)), np.log(3))))


def _clips(library: "SampleLibrary", split: str, track: str) -> list["Clip"]:
    cls, variants = CLIPS[track]
    clips = [c for c in library.select(cls, split) if variants is None or c.variant in variants]
    # General MIDI's orchestra kit has timpani and castanets on the keys of hats, toms and claps.
    orchestral = track not in ("kick", "snare")
    return [c for c in clips if not (orchestral and c.kit.endswith("Orchestra Kit"))]


def render_sound(spec: KitSound, library: "SampleLibrary") -> np.ndarray:
    """A track's one-shot, float32 [N], peak 1, its silent tail cut off."""
    sound = _transposed(library.audio(spec.clip), spec.semitones)
    if spec.layer is not None:
        under = _transposed(library.audio(spec.layer.clip), spec.layer.semitones)
        layered = np.zeros(max(len(sound), len(under)), np.float32)
        layered[: len(sound)] = sound
        layered[: len(under)] += np.float32(spec.layer.weight) * under
        sound = layered
    if spec.punch:
        n = np.arange(len(sound), dtype=np.float32)
        sound = sound * (1 + np.float32(spec.punch) * np.exp(-n / np.float32(spec.punch_seconds * RATE)))
    if spec.decay_seconds is not None:
        sound = sound * np.exp(
            -np.log(1000) / (spec.decay_seconds * RATE) * np.arange(len(sound), dtype=np.float32)
        )
    sound = tilted(with_eq(sound, spec.eq_db), spec.tilt_db)
    peak = float(np.abs(sound).max(initial=1e-9))
    loud = np.flatnonzero(np.abs(sound) > SILENT_END * peak)
    return (sound[: loud[-1] + 1] / peak).astype(np.float32) if len(loud) else np.zeros(1, np.float32)


def _transposed(sound: np.ndarray, semitones: float) -> np.ndarray:
    import soxr

    if not semitones:
        return sound
    played: np.ndarray = soxr.resample(sound, RATE * 2 ** (semitones / 12), RATE, quality="LQ")
    return played


def with_eq(sound: np.ndarray, gains_db: tuple[float, ...]) -> np.ndarray:
    """`sound` [N] with gains at EQ_HZ, interpolated on the octave axis."""
    if not gains_db:
        return sound
    size = 1 << int(np.ceil(np.log2(len(sound) + 1)))
    hz = np.maximum(np.fft.rfftfreq(size, 1 / RATE), 1)
    gain = 10 ** (np.interp(np.log2(hz), np.log2(EQ_HZ), gains_db) / 20)
    out: np.ndarray = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)
    return out


def tilted(sound: np.ndarray, tilt_db: float) -> np.ndarray:
    """`sound` [N] with a smooth tilt around 1 kHz: +tilt/2 dB far above, -tilt/2 dB far below."""
    if not tilt_db:
        return sound
    size = 1 << int(np.ceil(np.log2(len(sound) + 1)))
    hz = np.fft.rfftfreq(size, 1 / RATE)
    gain = 10 ** (tilt_db / 40 * np.tanh(np.log2(np.maximum(hz, 20) / 1000) / 2))
    out: np.ndarray = np.fft.irfft(np.fft.rfft(sound, size) * gain, size)[: len(sound)].astype(np.float32)
    return out


def render_one_shot(kit: KitSpec, track: str, library: "SampleLibrary") -> np.ndarray:
    """What a hit of a track sounds like at full velocity, float32 [N], peak 1."""
    sound = render_sound(kit.sounds[track], library)
    return _with_sub(sound, kit) if track == "kick" and kit.sub_hz else sound


def render_tracks(
    kit: KitSpec, groove: Groove, library: "SampleLibrary", samples: int
) -> dict[str, np.ndarray]:
    """Each sounding track of the kit, float32 [samples]; the kick's peak at full velocity is 1."""
    tracks: dict[str, np.ndarray] = {}
    for track, spec in kit.sounds.items():
        if not (hits := groove.hits[track]):
            continue
        sound = render_one_shot(kit, track, library)
        if track == "tom":
            tracks[track] = _toms(spec, sound, hits, samples)
        else:
            ends = _ends(track, spec, groove, samples)
            tracks[track] = place(spec, sound, hits, ends, samples)
        tracks[track] *= np.float32(10 ** (spec.level_db / 20))
    return tracks


def place(
    spec: KitSound, sound: np.ndarray, hits: tuple[GrooveHit, ...], ends: list[int], samples: int
) -> np.ndarray:
    """The hits of one sound, float32 [samples]; hit i is cut off at ends[i]."""
    # Softer hits are duller: a few versions, soft to loud.
    steps = np.linspace(1, 0, VELOCITY_STEPS)
    versions = [tilted(sound, -spec.dull_db * float(s)) for s in steps] if spec.dull_db else [sound]
    track = np.zeros(samples, np.float32)
    for hit, end in zip(hits, ends, strict=True):
        level = hit.velocity / 127
        version = versions[min(int(level * len(versions)), len(versions) - 1)]
        start = int(hit.seconds * RATE)
        stop = min(start + len(version), end, samples)
        piece = version[: stop - start] * np.float32(level**spec.power)
        fade = min(128, len(piece))  # 3 ms, so that a cut tail makes no click
        if end < start + len(version) and fade:
            piece[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
        track[start:stop] += piece
    return track


def _ends(track: str, spec: KitSound, groove: Groove, samples: int) -> list[int]:
    """Where each hit of a track is cut off: at the track's next hit if choked, hats at any next hat."""
    hits = groove.hits[track]
    if track == "open_hihat":
        stops = sorted(h.seconds for t in ("closed_hihat", "open_hihat") for h in groove.hits[t])
    elif spec.choked:
        stops = [h.seconds for h in hits]
    else:
        return [samples] * len(hits)
    later = [next((s for s in stops if s > h.seconds + 0.02), None) for h in hits]
    return [samples if s is None else int(s * RATE) for s in later]


def _toms(spec: KitSound, sound: np.ndarray, hits: tuple[GrooveHit, ...], samples: int) -> np.ndarray:
    """Three toms by turns of two hits, from high to low."""
    import soxr

    track = np.zeros(samples, np.float32)
    for i, semitones in enumerate(TOMS):
        own = tuple(h for n, h in enumerate(hits) if n // 2 % len(TOMS) == i)
        if own:
            tom = soxr.resample(sound, RATE * 2 ** (semitones / 12), RATE, quality="LQ")
            track += place(spec, tom, own, [samples] * len(own), samples)
    return track


def _with_sub(sound: np.ndarray, kit: KitSpec) -> np.ndarray:
    """A kick with a decaying sine under it, as an 808's."""
    n = np.arange(int(min(kit.sub_seconds, 1.5) * RATE), dtype=np.float32)
    sine = np.sin(2 * np.pi * kit.sub_hz / RATE * n) * np.exp(-np.log(1000) / (kit.sub_seconds * RATE) * n)
    fade = np.minimum(1, n / 200)  # 4.5 ms
    out = 0.8 * (sine * fade).astype(np.float32)
    out[: min(len(sound), len(out))] += sound[: len(out)]
    scaled: np.ndarray = out / np.float32(max(np.abs(out).max(), 1e-9))
    return scaled
