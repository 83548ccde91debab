"""Procedural claps, toms, cymbals and small percussion.

Ranges and probabilities were set by hand, wide around what drum machines and recorded kits sound like: these
sounds teach a transcription what is no kick, snare or hi-hat.
"""

from collections.abc import Callable

import numpy as np

from dose.audio import RATE
from dose.sources.synth.parts import (
    SAMPLES,
    TIME,
    Quantiles,
    Sound,
    band,
    decay,
    draw,
    finish,
    noise,
    sweep,
)

CLAP_HZ: Quantiles = (800, 1300, 2600)
CLAP_TAIL_MS: Quantiles = (60, 140, 320)
TOM_HZ: Quantiles = (60, 110, 220)
TOM_DECAY_MS: Quantiles = (120, 280, 700)
CYMBAL_DECAY_MS: Quantiles = (500, 1200, 4000)
RIDE_DECAY_MS: Quantiles = (250, 700, 2000)


def _clap(rng: np.random.Generator) -> Sound:
    # Two to five hands within 40 ms, each a burst of a few milliseconds; the last one rings on.
    centre, width = draw(rng, CLAP_HZ), rng.uniform(1.0, 2.6)
    gaps = rng.uniform(0.005, 0.014, int(rng.integers(1, 5)))
    sound = np.zeros(SAMPLES)
    for start in np.concatenate([[0.0], np.cumsum(gaps)]):
        burst = noise(rng, centre, width) * decay(draw(rng, (4, 9, 20)), rng)
        at = int(start * RATE)
        sound[at:] += rng.uniform(0.6, 1.0) * burst[: SAMPLES - at]
    tail = noise(rng, centre * rng.uniform(0.8, 1.3), width) * decay(draw(rng, CLAP_TAIL_MS), rng)
    at = int(float(gaps.sum()) * RATE)
    sound[at:] += rng.uniform(0.2, 0.8) * tail[: SAMPLES - at]
    return finish(sound, rng, drive_share=0.4, attack_ms=draw(rng, (0.05, 0.3, 1)))


def _tom(rng: np.random.Generator) -> Sound:
    # A head that falls in pitch by up to a fifth, its second mode, the stick and some room.
    end = draw(rng, TOM_HZ)
    start, length = end * rng.uniform(1.02, 1.6), draw(rng, TOM_DECAY_MS)
    sound = sweep(start, end, draw(rng, (15, 40, 120)), rng.uniform(0, np.pi / 2)) * decay(length, rng)
    mode = rng.uniform(1.4, 1.7)
    second = sweep(start * mode, end * mode, 30, rng.uniform(0, np.pi)) * decay(length * 0.5, rng)
    sound += rng.uniform(0.05, 0.5) * second
    stick = noise(rng, draw(rng, (600, 2000, 6000)), rng.uniform(1, 3)) * decay(draw(rng, (4, 12, 40)), rng)
    sound += rng.uniform(0.02, 0.35) * stick
    if rng.random() < 0.4:
        sound += rng.uniform(0.01, 0.1) * noise(rng, 400, 4) * decay(draw(rng, (60, 150, 400)), rng)
    return finish(sound, rng, drive_share=0.3, attack_ms=draw(rng, (0.1, 0.6, 3)))


def _cymbal(rng: np.random.Generator) -> Sound:
    # Dense inharmonic partials and noise; a ride has a clear ping in front, a crash swells for milliseconds.
    ride = rng.random() < 0.5
    low = draw(rng, (250, 450, 900))
    partials = np.zeros(SAMPLES)
    for hz in low * (1 + np.sort(rng.random(24)) * rng.uniform(8, 30)):
        if hz < 18000:
            partials += rng.uniform(0.2, 1.0) * np.sin(2 * np.pi * hz * TIME + rng.uniform(0, 2 * np.pi))
    partials /= float(np.abs(partials).max())
    length = draw(rng, RIDE_DECAY_MS if ride else CYMBAL_DECAY_MS)
    air = noise(rng, draw(rng, (3500, 6500, 11000)), rng.uniform(1.5, 3.5))
    mix = rng.uniform(0.2, 0.8)
    sound = (mix * partials + (1 - mix) * air) * decay(length, rng)
    if ride:
        ping = band(partials, draw(rng, (2500, 4500, 8000)), 1.5) * decay(draw(rng, (15, 50, 150)), rng)
        sound = rng.uniform(0.15, 0.7) * sound + ping / float(np.abs(ping).max())
    return finish(sound, rng, drive_share=0.15, attack_ms=draw(rng, (0.1, 0.8, 5) if ride else (0.3, 3, 15)))


def _percussion(rng: np.random.Generator) -> Sound:
    kinds = (_shaker, _tambourine, _cowbell, _rim, _conga, _triangle)
    return kinds[int(rng.integers(len(kinds)))](rng)


def _shaker(rng: np.random.Generator) -> Sound:
    sound = noise(rng, draw(rng, (3000, 6000, 11000)), rng.uniform(0.6, 2)) * decay(
        draw(rng, (25, 60, 140)), rng
    )
    return finish(sound, rng, drive_share=0.1, attack_ms=draw(rng, (5, 18, 50)))


def _tambourine(rng: np.random.Generator) -> Sound:
    jingles = np.zeros(SAMPLES)
    for _ in range(8):
        jingles += np.sin(2 * np.pi * rng.uniform(4500, 14000) * TIME + rng.uniform(0, 6)) * decay(
            draw(rng, (30, 90, 250)), rng
        )
    sound = jingles / float(np.abs(jingles).max())
    sound += rng.uniform(0.2, 1.0) * noise(rng, 8000, 1.5) * decay(draw(rng, (15, 50, 150)), rng)
    return finish(sound, rng, drive_share=0.1, attack_ms=draw(rng, (0.3, 2, 12)))


def _cowbell(rng: np.random.Generator) -> Sound:
    low = draw(rng, (350, 560, 1200))
    pair = np.sign(np.sin(2 * np.pi * low * TIME)) + np.sign(
        np.sin(2 * np.pi * low * rng.uniform(1.4, 1.6) * TIME)
    )
    sound = band(pair, low * 1.5, rng.uniform(0.8, 2)) * decay(draw(rng, (30, 90, 300)), rng)
    return finish(sound, rng, drive_share=0.2, attack_ms=draw(rng, (0.1, 0.5, 2)))


def _rim(rng: np.random.Generator) -> Sound:
    hz = draw(rng, (400, 900, 2200))
    sound = sweep(hz, hz, 10, 0.0) * decay(draw(rng, (5, 14, 40)), rng)
    sound += rng.uniform(0.2, 1) * sweep(hz * 1.9, hz * 1.9, 10, 1.0) * decay(draw(rng, (4, 10, 30)), rng)
    sound += rng.uniform(0.1, 0.8) * noise(rng, hz * 2, 2) * decay(draw(rng, (2, 6, 18)), rng)
    return finish(sound, rng, drive_share=0.3, attack_ms=draw(rng, (0.05, 0.2, 1)))


def _conga(rng: np.random.Generator) -> Sound:
    hz = draw(rng, (150, 260, 500))
    sound = sweep(hz * rng.uniform(1, 1.15), hz, 20, 0.0) * decay(draw(rng, (50, 150, 400)), rng)
    sound += rng.uniform(0.05, 0.6) * noise(rng, hz * 5, 2) * decay(draw(rng, (3, 10, 40)), rng)
    return finish(sound, rng, drive_share=0.2, attack_ms=draw(rng, (0.1, 0.5, 2)))


def _triangle(rng: np.random.Generator) -> Sound:
    hz, sound = draw(rng, (1500, 3500, 6500)), np.zeros(SAMPLES)
    for ratio in (1.0, rng.uniform(1.3, 1.9), rng.uniform(2.0, 2.9)):
        if hz * ratio < 18000:
            sound += (
                rng.uniform(0.3, 1)
                * np.sin(2 * np.pi * hz * ratio * TIME)
                * decay(draw(rng, (100, 400, 1500)), rng)
            )
    return finish(sound, rng, drive_share=0.0, attack_ms=draw(rng, (0.1, 0.5, 2)))


MAKERS: dict[str, Callable[[np.random.Generator], Sound]] = {
    "clap": _clap,
    "tom": _tom,
    "cymbal": _cymbal,
    "percussion": _percussion,
}
