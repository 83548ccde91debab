"""Sounds that are no music and no drums: tones, sweeps, noise, offsets, applause and speech-like sounds."""

import dataclasses

import numpy as np

from dose.audio import RATE

KINDS = ("tone", "sweep", "white", "pink", "offset", "applause", "syllables")
OFTEN = (1, 1, 1, 1, 1, 1, 3)  # weights of KINDS: speech is what users upload


@dataclasses.dataclass(frozen=True, kw_only=True)
class Interference:
    kind: str  # one of KINDS
    seed: int


def draw_interference(rng: np.random.Generator) -> Interference:
    return Interference(
        kind=str(rng.choice(KINDS, p=np.array(OFTEN) / sum(OFTEN))), seed=int(rng.integers(2**31))
    )


def render_interference(spec: Interference, samples: int) -> np.ndarray:
    """Float32 [samples]; every kind may begin and end at the cut, so that no edge is taken for a hit."""
    rng = np.random.Generator(np.random.Philox(key=[spec.seed, 77]))
    t = np.arange(samples) / RATE
    if spec.kind == "tone":
        hz = np.exp(rng.uniform(np.log(30), np.log(12000), int(rng.integers(1, 4))))
        sound = np.sin(2 * np.pi * hz[:, None] * t + rng.uniform(0, 6, (len(hz), 1))).sum(axis=0)
    elif spec.kind == "sweep":
        low, high = np.exp(rng.uniform(np.log(30), np.log(12000), 2))
        sound = np.sin(2 * np.pi * np.cumsum(np.geomspace(low, high, samples)) / RATE)
    elif spec.kind == "white":
        sound = rng.standard_normal(samples)
    elif spec.kind == "pink":
        sound = _coloured(rng, samples, -float(rng.uniform(0.3, 1.2)))
    elif spec.kind == "offset":
        sound = np.full(samples, 0.5) + 1e-4 * rng.standard_normal(samples)
    elif spec.kind == "applause":
        sound = _applause(rng, samples)
    else:
        sound = _syllables(rng, samples)
    rendered: np.ndarray = sound.astype(np.float32)
    return rendered


def _coloured(rng: np.random.Generator, samples: int, exponent: float) -> np.ndarray:
    """Noise whose magnitude falls as frequency ** exponent."""
    hz = np.maximum(np.fft.rfftfreq(samples, 1 / RATE), 20)
    out: np.ndarray = np.fft.irfft(np.fft.rfft(rng.standard_normal(samples)) * hz**exponent, samples)
    scaled: np.ndarray = out / np.abs(out).max()
    return scaled


def _applause(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Hundreds of hands per second, each a few milliseconds of band noise, too dense to be hits."""
    out = np.zeros(samples)
    burst = _coloured(rng, 1024, -0.3) * np.exp(-np.arange(1024) / 250)
    for start in rng.integers(0, samples - 1024, int(rng.uniform(150, 600) * samples / RATE)):
        out[start : start + 1024] += rng.exponential(0.3) * burst
    return out


def _syllables(rng: np.random.Generator, samples: int) -> np.ndarray:
    """A pulse train through moving formants, in syllables: the rhythm and bands of speech."""
    pitch = float(rng.uniform(80, 260))
    glide = np.interp(np.arange(samples), np.linspace(0, samples, 30), rng.normal(1, 0.1, 30))
    pulses = np.diff(np.floor(np.cumsum(pitch * glide / RATE)), prepend=0.0)
    voice = pulses + 0.02 * rng.standard_normal(samples)
    out = np.zeros(samples)
    at = 0
    while at < samples:
        length = int(rng.uniform(0.08, 0.35) * RATE)
        piece = voice[at : at + length]
        spectrum = np.fft.rfft(piece)
        hz = np.fft.rfftfreq(len(piece), 1 / RATE)
        formants = (rng.uniform(250, 900), rng.uniform(800, 2500), rng.uniform(2300, 3500))
        gain = sum(np.exp(-0.5 * ((hz - f) / (60 + f * 0.06)) ** 2) / (1 + i) for i, f in enumerate(formants))
        shape, level = np.hanning(len(piece)), rng.uniform(0.3, 1)
        if (sort := rng.random()) < 0.35:  # a fricative or, shorter and with a sharp attack, a plosive
            if sort < 0.15:
                shape = np.exp(-np.arange(len(piece)) / (rng.uniform(0.004, 0.03) * RATE))
            spectrum = np.fft.rfft(rng.standard_normal(len(piece)))
            centre, width = rng.uniform(1500, 9000), rng.uniform(800, 3500)
            gain, level = np.exp(-0.5 * ((hz - centre) / width) ** 2), rng.uniform(0.05, 0.5)
        shaped = np.fft.irfft(spectrum * gain, len(piece)) * shape
        out[at : at + length] += shaped / max(np.abs(shaped).max(), 1e-9) * level
        at += length + int(rng.uniform(0, 0.15) * RATE)
    return out
