"""Band energies are moved to the expected ones, within the limit, and nothing sounds before the attack."""

import numpy as np
import torch

from dose.extract import spectral_match
from dose.extract.spectral_match import match_envelope
from dose.tokens import band_energies

RATE = 44100
TIME = np.arange(RATE) / RATE
NOISE = np.random.default_rng(0).normal(size=RATE).astype(np.float32)


def spectrogram(shot: np.ndarray) -> np.ndarray:
    return band_energies.compress_power(
        torch.from_numpy(band_energies.quantised_spectrograms(shot[None], 87))
    ).numpy()[0]


def test_a_matching_sound_and_silence_are_unchanged():
    shot = (NOISE * np.exp(-9 * TIME)).astype(np.float32)
    assert np.abs(match_envelope(shot, spectrogram(shot)) - shot).max() < 1e-5
    assert not match_envelope(np.zeros(RATE, np.float32), spectrogram(shot)).any()


def test_a_decay_is_moved_to_the_expected_one():
    slow, fast = ((NOISE * np.exp(-k * TIME)).astype(np.float32) for k in (8, 12))
    expected = spectrogram(fast)
    before, after = (
        np.square(spectrogram(s) - expected).mean() for s in (slow, match_envelope(slow, expected))
    )
    assert after < 0.1 * before


def test_gains_are_limited():
    low, high = np.sin(2 * np.pi * 86.1 * TIME), np.sin(2 * np.pi * 3000 * TIME)
    shot = (low + high).astype(np.float32)
    out = match_envelope(shot, spectrogram((0.001 * low + high).astype(np.float32)))
    kept = [abs(np.mean(out[8000:-8000] * w[8000:-8000])) * 2 for w in (low, high)]
    assert all(0.9 / spectral_match.MAX_GAIN < gain < spectral_match.MAX_GAIN for gain in kept)
    assert kept[0] < 0.4 * kept[1]


def test_nothing_sounds_before_the_attack():
    shot = np.zeros(RATE, np.float32)
    shot[2000:] = (NOISE * np.exp(-20 * TIME))[:-2000]
    assert not match_envelope(shot, np.full((band_energies.BANDS, 87), 0.5, np.float32))[:2000].any()
