"""What procedural drums are made of: random parameters, sines, noise, envelopes and saturation."""

import numpy as np
import numpy.typing as npt

from dose.audio import RATE

Sound = npt.NDArray[np.float64]

SAMPLES = int(1.2 * RATE)  # longer than a one-shot, which cleaning cuts at 1 s
TIME = np.arange(SAMPLES) / RATE  # seconds
FREQUENCIES = np.fft.rfftfreq(SAMPLES, 1 / RATE)

Quantiles = tuple[float, float, float]  # at 10, 50 and 90 %


def draw(rng: np.random.Generator, quantiles: Quantiles) -> float:
    """A positive number with the given 10, 50 and 90 % quantiles, log-linear between and bounded beyond."""
    low, middle, high = np.log(quantiles)
    points = [low - 0.5 * (middle - low), low, middle, high, high + 0.5 * (high - middle)]
    return float(np.exp(np.interp(rng.random(), [0, 0.1, 0.5, 0.9, 1], points)))


def sweep(start: float, end: float, settle_ms: float, phase: float) -> Sound:
    """A sine that falls from `start` to `end` Hz exponentially, with time constant `settle_ms`."""
    settle = settle_ms / 1000
    turns = end * TIME + (start - end) * settle * (1 - np.exp(-TIME / settle))
    return np.sin(2 * np.pi * turns + phase)


def decay(ms: float, rng: np.random.Generator) -> Sound:
    """A stretched exponential that falls to a tenth after `ms`, with a random exponent of 0.7 to 1.3."""
    envelope: Sound = np.exp(-np.log(10) * (TIME * 1000 / ms) ** rng.uniform(0.7, 1.3))
    return envelope


def noise(rng: np.random.Generator, centre: float, octaves: float) -> Sound:
    """Noise around `centre` Hz, `octaves` wide, peak 1."""
    sound = band(rng.standard_normal(SAMPLES), centre, octaves)
    return sound / float(np.abs(sound).max())


def band(sound: Sound, centre: float, octaves: float) -> Sound:
    """`sound` through a Gaussian band-pass on the octave axis."""
    distance = np.log2(np.maximum(FREQUENCIES, 1) / centre) / (octaves / 2)
    return np.fft.irfft(np.fft.rfft(sound) * np.exp(-0.5 * distance**2), SAMPLES)


def finish(sound: Sound, rng: np.random.Generator, drive_share: float, attack_ms: float) -> Sound:
    """A linear attack, and with probability `drive_share` a tanh saturation."""
    rise = max(int(attack_ms / 1000 * RATE), 1)
    sound[:rise] *= np.linspace(0, 1, rise, endpoint=False)
    if rng.random() < drive_share:
        amount = draw(rng, (1.2, 2.5, 7))
        sound = np.tanh(sound / np.abs(sound).max() * amount)
    return sound
