"""Fixed inputs, made from seeds: the same arrays in both trees.

Where behaviour changed on purpose, the part that changed is an input, too: what follows from it is compared.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np

from .adapter import DRUMS, Tree

RATE = 44100


class Confidence:
    """A calibration of one feature, the first, which is the same in both trees: [n, F] to [n]."""

    def confidence(self, features: np.ndarray) -> np.ndarray:
        fit: np.ndarray = np.clip(features[:, 0], 0, 1)
        return fit

    def detected(self, features: np.ndarray) -> np.ndarray:
        return np.ones(len(features))

    present = detected  # its name in the base commit


def fix(tree: Tree) -> None:
    """Puts fixed values in the place of the parts that changed.

    1. Onsets: the transcription network chooses which of them condition a model, an onset detector did.
    2. Confidence: its features include others, and calibrations of the former ones are left out.
    3. The further notes of a hi-hat's pad, which the base commit does not have.
    4. Source blending: a one-shot is blended with the average of hits that agree, and its tail is cleaned; it
       was blended with the hit that fits best, of which the mask let less through.
    """

    def find(*arguments: object) -> list[SimpleNamespace]:
        # The functions differ in what they read; all are given a drum and a number.
        drum = next(a for a in arguments if isinstance(a, str) and a in DRUMS)
        count = next(a for a in arguments if isinstance(a, int))
        starts = [8000 + 11000 * DRUMS.index(drum) + 15000 * i for i in range(count)]
        return [SimpleNamespace(start=s, likelihood=0.95 - 0.1 * i, rank=0.9) for i, s in enumerate(starts)]

    tree.replace("find_onsets", find)
    tree.replace("calibrations", lambda _: {})
    tree.replace("uncalibrated", Confidence())
    tree.replace("further_notes", {})

    def single_hits(shot: np.ndarray, expected: np.ndarray, segments: object, drum: str) -> object:
        from dose.extract.source.blend import source_segments

        return source_segments(shot, expected, segments)  # type: ignore[arg-type]

    def blend(shot: np.ndarray, expected: np.ndarray, source: Any) -> object:
        from dose.dsp.stft import istft, stft
        from dose.extract import spectral_match
        from dose.extract.source.blend import SILENT, Blend, source_mask
        from dose.tokens import band_energies

        top = float(band_energies.one_shot_band_energies(shot[None], expected.shape[1]).max(initial=0.0))
        if top == 0:
            return Blend(audio=shot, source_energy_ratio=0.0)
        wanted = np.maximum(band_energies.expand_power(expected) - SILENT, 0)
        generated, real = stft(shot / np.sqrt(top)), stft(source.sound)
        gain = source_mask(source, wanted, generated.shape[1])
        parts = source.trust * gain**1.5 * real, (1 - source.trust * gain) * generated
        taken, made = (float(part.abs().square().sum()) for part in parts)
        audio = spectral_match.silence_before_attack(istft(parts[0] + parts[1], len(shot)), shot)
        return Blend(audio=audio, source_energy_ratio=taken / (taken + made))

    tree.replace("averages", single_hits)
    tree.replace("blend_source", blend)
    tree.replace("clean_tail", lambda shot: shot)


def mix(seed: int = 0, seconds: float = 4.0) -> np.ndarray:
    """A mono mix [N] of low, middle and high bursts over a quiet tone."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE)) / RATE
    out = 0.05 * np.sin(2 * np.pi * 220 * time)
    for beat in np.arange(0.1, seconds - 0.3, 0.25):
        start = round(beat * RATE)
        burst = np.arange(8000) / RATE
        low = np.sin(2 * np.pi * 55 * burst + 8 * np.exp(-burst * 60)) * np.exp(-burst * 14)
        noise = rng.uniform(-1, 1, len(burst))
        middle = (np.convolve(noise, np.ones(6) / 6, "same") + np.sin(2 * np.pi * 190 * burst)) / 2
        high = np.diff(noise, prepend=0.0)
        kind = rng.integers(0, 3)
        sound = (low, middle * np.exp(-burst * 20), 0.4 * high * np.exp(-burst * 60))[kind]
        out[start : start + len(burst)] += 0.6 * sound
    scaled: np.ndarray = (out / np.abs(out).max() * 0.9).astype(np.float32)
    return scaled


def shots(count: int, seed: int) -> np.ndarray:
    """One-shots [n, 44100]: decaying tones and noise that begin out of near silence, each at its own time."""
    rng = np.random.default_rng(seed)
    time = np.arange(RATE) / RATE
    made = []
    for _ in range(count):
        tone = np.sin(2 * np.pi * rng.uniform(50, 900) * time)
        sound = (tone + rng.uniform(0, 1) * rng.standard_normal(RATE)) * np.exp(-time * rng.uniform(5, 40))
        late = np.roll(sound, start := int(rng.integers(0, 400)))
        late[:start] = 1e-4 * rng.standard_normal(start)
        made.append(late * rng.uniform(0.2, 0.9))
    return np.stack(made).astype(np.float32)


def embeddings(count: int, seed: int, shift: float = 0.0) -> np.ndarray:
    """Embeddings [n, 2, 16] of a normal distribution around `shift`."""
    return (np.random.default_rng(seed).standard_normal((count, 2, 16)) + shift).astype(np.float32)
