"""Procedural kicks, snares, closed and open hats with parameters drawn from measured statistics.

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

from dose.drums import DRUMS, OTHER_DRUMS, SPLITS
from dose.sources.item import SourceItem
from dose.sources.synth import parts, percussion
from dose.sources.synth.parts import TIME, Quantiles, Sound

OPEN_SHARE = 0.4  # of the hi-hats: by hand

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
    for drum in DRUMS + OTHER_DRUMS:
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
    if drum == "hihat":
        sound = _hat(rng, variant_of(drum, index))
    else:
        sound = ({"kick": _kick, "snare": _snare} | percussion.MAKERS)[drum](rng)
    return sound / float(np.abs(sound).max())


def _kick(rng: np.random.Generator) -> Sound:
    # The membrane: a sine that falls in pitch.
    start, end = parts.draw(rng, KICK_START_HZ), parts.draw(rng, KICK_END_HZ)
    sound = parts.sweep(max(start, end), end, parts.draw(rng, (3, 12, 45)), rng.uniform(0, np.pi / 2))
    sound *= parts.decay(_wide(rng, KICK_DECAY_MS, "kick"), rng)
    if rng.random() < 0.39:  # two weak overtones
        pair = parts.sweep(parts.draw(rng, (50, 150, 450)), parts.draw(rng, (50, 120, 300)), 20, 0.0)
        pair += parts.sweep(parts.draw(rng, (50, 150, 450)), parts.draw(rng, (50, 120, 300)), 20, 0.0)
        sound += rng.uniform(0.03, 0.25) * pair * parts.decay(parts.draw(rng, KICK_DECAY_MS) * 0.6, rng)
    if rng.random() < 0.33:  # the click of the beater
        click = parts.noise(rng, parts.draw(rng, (800, 2500, 8000)), rng.uniform(0.8, 2.5))
        sound += rng.uniform(0.05, 0.6) * click * parts.decay(parts.draw(rng, CLICK_DECAY_MS), rng)
    if rng.random() < 0.6:  # noise of beater and room, as in a recorded kick
        room = parts.noise(rng, parts.draw(rng, (120, 500, 4000)), parts.draw(rng, (1, 2, 4)))
        sound += parts.draw(rng, (0.01, 0.06, 0.2)) * room * parts.decay(parts.draw(rng, (30, 100, 300)), rng)
    return parts.finish(sound, rng, drive_share=0.59, attack_ms=parts.draw(rng, (0.2, 0.8, 3)))


def _snare(rng: np.random.Generator) -> Sound:
    # The head: a sine that falls in pitch, and sometimes its next mode.
    start, end = parts.draw(rng, SNARE_START_HZ), parts.draw(rng, SNARE_END_HZ)
    start, decay = max(start, end), _wide(rng, SNARE_DECAY_MS, "snare")
    body = parts.sweep(start, end, parts.draw(rng, (4, 15, 50)), rng.uniform(0, np.pi / 2)) * parts.decay(
        decay, rng
    )
    if rng.random() < 0.6:
        ratio = rng.uniform(1.4, 2.3)
        mode = parts.sweep(start * ratio, end * ratio, 15, rng.uniform(0, np.pi)) * parts.decay(
            decay * 0.7, rng
        )
        body += rng.uniform(0.1, 0.7) * mode
    # The wires: two bands of noise.
    wires = parts.noise(rng, parts.draw(rng, WIRES_LOW_HZ), rng.uniform(1.5, 3.5))
    wires += rng.uniform(0.2, 1.2) * parts.noise(rng, parts.draw(rng, WIRES_HIGH_HZ), rng.uniform(1.0, 3.0))
    wires *= parts.decay(_wide(rng, WIRES_DECAY_MS, "snare"), rng)
    sound = body * rng.uniform(0.15, 0.9) + wires * rng.uniform(0.4, 1.2)
    return parts.finish(sound, rng, drive_share=0.65, attack_ms=parts.draw(rng, (0.1, 0.4, 1.5)))


def _hat(rng: np.random.Generator, variant: str) -> Sound:
    # The plates: the product of two square waves has many inharmonic partials; more squares add to them.
    first, second = parts.draw(rng, HAT_FIRST_HZ), parts.draw(rng, HAT_SECOND_HZ)
    clash = np.sign(np.sin(2 * np.pi * first * TIME)) * np.sign(np.sin(2 * np.pi * second * TIME))
    if rng.random() < 0.5:
        for _ in range(4):
            clash += np.sign(
                np.sin(2 * np.pi * parts.draw(rng, (300, 800, 2500)) * TIME + rng.uniform(0, np.pi))
            )
    centre, width = parts.draw(rng, HAT_BAND_HZ[variant]), rng.uniform(0.6, 2.0)
    metal = parts.band(clash, min(centre, 18000), width)
    air = parts.noise(rng, min(parts.draw(rng, HAT_BAND_HZ[variant]), 18000), rng.uniform(0.8, 2.5))
    mix = rng.uniform(0.15, 0.9)
    sound = mix * metal / np.abs(metal).max() + (1 - mix) * air
    sound *= parts.decay(_wide(rng, HAT_DECAY_MS[variant], variant), rng)
    if rng.random() < 0.85:  # bleed of the rest of the kit into the microphone
        bleed = parts.noise(rng, parts.draw(rng, (80, 250, 900)), parts.draw(rng, (1, 2, 3)))
        sound += parts.draw(rng, (0.03, 0.12, 0.4)) * bleed * parts.decay(parts.draw(rng, (30, 80, 250)), rng)
    drive = {"closed": 0.30, "open": 0.11}[variant]
    return parts.finish(sound, rng, drive_share=drive, attack_ms=parts.draw(rng, (0.05, 0.5, 4)))


def _wide(rng: np.random.Generator, quantiles: Quantiles, kind: str) -> float:
    return parts.draw(rng, quantiles) * parts.draw(rng, WIDER[kind])
