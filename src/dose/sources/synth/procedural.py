"""Procedural drums: kicks, snares, closed and open hats with parameters drawn from measured statistics.

The quantiles are those of 764 presets of a classic drum synthesiser (10, 50 and 90 %). Recorded drums differ
from those presets: snares have more body, hats ring longer and carry some low bleed, open hats are darker.
WIDER, the bleed and the levels are set by hand so that decay, centroid and low share have about the medians
of the recorded clips (docs/sources.md has the comparison), with more spread. The probabilities and ranges
inside the functions were set with them.
Clip (seed, drum, split, index) has its own counter-based generator, so any clip can be made alone. All
arithmetic is float64, so that processors which differ in the last bit still give the same 16-bit samples.
"""

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dose.audio import RATE
from dose.drums import DRUMS, SPLITS
from dose.sources.item import SourceItem

Sound = npt.NDArray[np.float64]

SAMPLES = int(1.2 * RATE)  # longer than a one-shot, which cleaning cuts at 1 s
TIME = np.arange(SAMPLES) / RATE  # seconds
FREQUENCIES = np.fft.rfftfreq(SAMPLES, 1 / RATE)
OPEN_SHARE = 0.4  # of the hi-hats: by hand

Quantiles = tuple[float, float, float]  # at 10, 50 and 90 %

KICK_START_HZ: Quantiles = (100, 300, 892)
KICK_END_HZ: Quantiles = (30, 50, 75)
KICK_DECAY_MS: Quantiles = (69, 173, 469)
CLICK_DECAY_MS: Quantiles = (8, 28, 152)
SNARE_START_HZ: Quantiles = (162, 254, 600)
SNARE_END_HZ: Quantiles = (70, 150, 250)
SNARE_DECAY_MS: Quantiles = (50, 99, 221)
WIRES_DECAY_MS: Quantiles = (41, 112, 204)
WIRES_LOW_HZ: Quantiles = (200, 1252, 6000)
WIRES_HIGH_HZ: Quantiles = (379, 3100, 9000)
HAT_FIRST_HZ: Quantiles = (350, 600, 1000)
HAT_SECOND_HZ: Quantiles = (480, 800, 1400)
HAT_BAND_HZ = {"closed": (3100.0, 7600.0, 10000.0), "open": (2500.0, 7000.0, 14000.0)}
HAT_DECAY_MS = {"closed": (32.0, 54.0, 231.0), "open": (110.0, 186.0, 373.0)}
WIDER: dict[str, Quantiles] = {  # factors of the decays above
    "kick": (0.25, 0.5, 1.2),
    "snare": (0.5, 0.85, 1.8),
    "closed": (0.8, 1.1, 2.0),
    "open": (1.2, 2.0, 3.5),
}


def source_items(seed: int, counts: dict[str, int]) -> Iterator[SourceItem]:
    """`counts[split]` clips of each drum."""
    for drum in DRUMS:
        for split in SPLITS:
            for index in range(counts[split]):
                variant = variant_of(drum, index)
                yield SourceItem(
                    name=f"{drum}-{split}-{index:05d}",
                    cls=drum,
                    load=lambda d=drum, s=split, i=index: synthesise(seed, d, s, i),  # type: ignore[misc]
                    source="procedural",
                    group=f"procedural-{split}",
                    variant=variant,
                    package="dose",
                    kit=f"procedural-{split}",
                    author="DOSE",
                    licence="CC0-1.0",
                    split=split,
                    synthetic=True,
                    origin=f"procedural seed {seed} {drum} {split} {index}",
                )


def variant_of(drum: str, index: int) -> str:
    """Hi-hats: open for OPEN_SHARE of the indices, evenly spread, else closed; "" for other drums."""
    if drum != "hihat":
        return ""
    return "open" if int((index + 1) * OPEN_SHARE) > int(index * OPEN_SHARE) else "closed"


def synthesise(seed: int, drum: str, split: str, index: int) -> Sound:
    """One drum, float64 [SAMPLES], peak 1; a pure function of its arguments."""
    # The index stands above the 32-bit name in the key, so no two clips share a key.
    rng = np.random.Generator(
        np.random.Philox(key=[seed, zlib.crc32(f"{drum}/{split}".encode()) + (index << 32)])
    )
    sound = (
        {"kick": _kick, "snare": _snare}[drum](rng) if drum != "hihat" else _hat(rng, variant_of(drum, index))
    )
    return sound / float(np.abs(sound).max())


def draw(rng: np.random.Generator, quantiles: Quantiles) -> float:
    """A positive number with the given 10, 50 and 90 % quantiles, log-linear between and bounded beyond."""
    low, middle, high = np.log(quantiles)
    points = [low - 0.5 * (middle - low), low, middle, high, high + 0.5 * (high - middle)]
    return float(np.exp(np.interp(rng.random(), [0, 0.1, 0.5, 0.9, 1], points)))


def _kick(rng: np.random.Generator) -> Sound:
    # The membrane: a sine that falls in pitch.
    start, end = draw(rng, KICK_START_HZ), draw(rng, KICK_END_HZ)
    sound = _sweep(max(start, end), end, draw(rng, (3, 12, 45)), rng.uniform(0, np.pi / 2))
    sound *= _decay(_wide(rng, KICK_DECAY_MS, "kick"), rng)
    if rng.random() < 0.39:  # two weak overtones
        pair = _sweep(draw(rng, (50, 150, 450)), draw(rng, (50, 120, 300)), 20, 0.0)
        pair += _sweep(draw(rng, (50, 150, 450)), draw(rng, (50, 120, 300)), 20, 0.0)
        sound += rng.uniform(0.03, 0.25) * pair * _decay(draw(rng, KICK_DECAY_MS) * 0.6, rng)
    if rng.random() < 0.33:  # the click of the beater
        click = _noise(rng, draw(rng, (800, 2500, 8000)), rng.uniform(0.8, 2.5))
        sound += rng.uniform(0.05, 0.6) * click * _decay(draw(rng, CLICK_DECAY_MS), rng)
    if rng.random() < 0.6:  # noise of beater and room, as in a recorded kick
        room = _noise(rng, draw(rng, (120, 500, 4000)), draw(rng, (1, 2, 4)))
        sound += draw(rng, (0.01, 0.06, 0.2)) * room * _decay(draw(rng, (30, 100, 300)), rng)
    return _finish(sound, rng, drive_share=0.59, attack_ms=draw(rng, (0.2, 0.8, 3)))


def _snare(rng: np.random.Generator) -> Sound:
    # The head: a sine that falls in pitch, and sometimes its next mode.
    start, end = draw(rng, SNARE_START_HZ), draw(rng, SNARE_END_HZ)
    start, decay = max(start, end), _wide(rng, SNARE_DECAY_MS, "snare")
    body = _sweep(start, end, draw(rng, (4, 15, 50)), rng.uniform(0, np.pi / 2)) * _decay(decay, rng)
    if rng.random() < 0.6:
        ratio = rng.uniform(1.4, 2.3)
        mode = _sweep(start * ratio, end * ratio, 15, rng.uniform(0, np.pi)) * _decay(decay * 0.7, rng)
        body += rng.uniform(0.1, 0.7) * mode
    # The wires: two bands of noise.
    wires = _noise(rng, draw(rng, WIRES_LOW_HZ), rng.uniform(1.5, 3.5))
    wires += rng.uniform(0.2, 1.2) * _noise(rng, draw(rng, WIRES_HIGH_HZ), rng.uniform(1.0, 3.0))
    wires *= _decay(_wide(rng, WIRES_DECAY_MS, "snare"), rng)
    sound = body * rng.uniform(0.15, 0.9) + wires * rng.uniform(0.4, 1.2)
    return _finish(sound, rng, drive_share=0.65, attack_ms=draw(rng, (0.1, 0.4, 1.5)))


def _hat(rng: np.random.Generator, variant: str) -> Sound:
    # The plates: the product of two square waves has many inharmonic partials; more squares add to them.
    first, second = draw(rng, HAT_FIRST_HZ), draw(rng, HAT_SECOND_HZ)
    clash = np.sign(np.sin(2 * np.pi * first * TIME)) * np.sign(np.sin(2 * np.pi * second * TIME))
    if rng.random() < 0.5:
        for _ in range(4):
            clash += np.sign(np.sin(2 * np.pi * draw(rng, (300, 800, 2500)) * TIME + rng.uniform(0, np.pi)))
    centre, width = draw(rng, HAT_BAND_HZ[variant]), rng.uniform(0.6, 2.0)
    metal = _band(clash, min(centre, 18000), width)
    air = _noise(rng, min(draw(rng, HAT_BAND_HZ[variant]), 18000), rng.uniform(0.8, 2.5))
    mix = rng.uniform(0.15, 0.9)
    sound = mix * metal / np.abs(metal).max() + (1 - mix) * air
    sound *= _decay(_wide(rng, HAT_DECAY_MS[variant], variant), rng)
    if rng.random() < 0.85:  # bleed of the rest of the kit into the microphone
        bleed = _noise(rng, draw(rng, (80, 250, 900)), draw(rng, (1, 2, 3)))
        sound += draw(rng, (0.03, 0.12, 0.4)) * bleed * _decay(draw(rng, (30, 80, 250)), rng)
    drive = {"closed": 0.30, "open": 0.11}[variant]
    return _finish(sound, rng, drive_share=drive, attack_ms=draw(rng, (0.05, 0.5, 4)))


def _wide(rng: np.random.Generator, quantiles: Quantiles, kind: str) -> float:
    return draw(rng, quantiles) * draw(rng, WIDER[kind])


def _sweep(start: float, end: float, settle_ms: float, phase: float) -> Sound:
    """A sine that falls from `start` to `end` Hz exponentially, with time constant `settle_ms`."""
    settle = settle_ms / 1000
    turns = end * TIME + (start - end) * settle * (1 - np.exp(-TIME / settle))
    return np.sin(2 * np.pi * turns + phase)


def _decay(ms: float, rng: np.random.Generator) -> Sound:
    """A stretched exponential that falls to a tenth after `ms`, with a random exponent of 0.7 to 1.3."""
    envelope: Sound = np.exp(-np.log(10) * (TIME * 1000 / ms) ** rng.uniform(0.7, 1.3))
    return envelope


def _noise(rng: np.random.Generator, centre: float, octaves: float) -> Sound:
    """Noise around `centre` Hz, `octaves` wide, peak 1."""
    noise = _band(rng.standard_normal(SAMPLES), centre, octaves)
    return noise / float(np.abs(noise).max())


def _band(sound: Sound, centre: float, octaves: float) -> Sound:
    """`sound` through a Gaussian band-pass on the octave axis."""
    distance = np.log2(np.maximum(FREQUENCIES, 1) / centre) / (octaves / 2)
    return np.fft.irfft(np.fft.rfft(sound) * np.exp(-0.5 * distance**2), SAMPLES)


def _finish(sound: Sound, rng: np.random.Generator, drive_share: float, attack_ms: float) -> Sound:
    """A linear attack, and with probability `drive_share` a tanh saturation."""
    rise = max(int(attack_ms / 1000 * RATE), 1)
    sound[:rise] *= np.linspace(0, 1, rise, endpoint=False)
    if rng.random() < drive_share:
        amount = draw(rng, (1.2, 2.5, 7))
        sound = np.tanh(sound / np.abs(sound).max() * amount)
    return sound
