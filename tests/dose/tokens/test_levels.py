"""Levels of bands: on the codec's grid, at the right place, of the right height."""

import numpy as np
import pytest
import torch

from dose.tokens import levels
from dose.tokens.onsets import RATE


def tone(hz: float, seconds: float, gain: float = 1.0) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def slow_powers(sound: np.ndarray) -> np.ndarray:
    """The slow, obvious twin: one frame at a time, one band at a time."""
    out = []
    padded = np.pad(sound.astype(np.float64), levels.LONG)
    for t in range(len(sound) // levels.HOP):
        middle = levels.LONG + t * levels.HOP + levels.HOP // 2
        spectra = {}
        for size in (levels.LONG, levels.SHORT):
            window = torch.hann_window(size, dtype=torch.float64).numpy()
            cut = padded[middle - size // 2 : middle + size // 2] * window
            spectra[size] = np.abs(np.fft.rfft(cut)) ** 2 / (window**2).sum()
        row = [spectra[levels.LONG][b] for b in levels.LOW_BINS]
        hz = np.arange(levels.SHORT // 2 + 1) * RATE / levels.SHORT
        for low, high in zip(levels.EDGES[:-1], levels.EDGES[1:], strict=True):
            inside = (hz >= low) & (hz < high)
            inside[np.abs(hz - (low + high) / 2).argmin()] = True
            row.append(spectra[levels.SHORT][inside].sum())
        out.append(row)
    return np.array(out).T


def test_powers_are_those_of_the_slow_twin():
    sound = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    assert levels.powers(sound[None])[0] == pytest.approx(slow_powers(sound), rel=1e-3, abs=1e-5)


def test_an_excerpt_shows_its_hit_after_the_lead_and_its_loudest_band_is_the_top():
    mix = np.zeros(3 * RATE, np.float32)
    start = 50_000
    mix[start : start + 6000] = tone(3000, 1)[:6000]
    rows = levels.heard(mix, [start], [0.5], 2, 20)
    assert rows.shape == (levels.FEATURES, 2 * (levels.LEAD + 20))
    first, second = np.split(rows, 2, axis=1)
    assert np.array_equal(first, second)  # one hit, asked for twice
    assert first[: levels.BANDS].max() == levels.TOP
    assert not first[len(levels.LOW_BINS) : levels.BANDS, : levels.LEAD - 1].any()
    assert first[levels.BANDS].tolist() == [levels.TOP // 2] * (levels.LEAD + 20)


def test_gain_changes_nothing_and_silence_and_the_edges_of_a_mix_are_no_error():
    mix = np.random.default_rng(1).normal(size=RATE).astype(np.float32)
    places = [0, RATE - 10]
    assert np.array_equal(
        levels.heard(mix, places, [1, 1], 3, 10), levels.heard(0.25 * mix, places, [1, 1], 3, 10)
    )
    assert not levels.heard(mix, [], [], 2, 10).any()
    assert not levels.heard(np.zeros(RATE, np.float32), [5], [0.0], 2, 10).any()


def test_a_picture_tells_pitches_and_levels():
    shots = np.stack([tone(50, 1), 0.1 * tone(70, 1)])
    seen = levels.pictures(shots, 87)
    assert seen.shape == (2, levels.BANDS, 87)
    assert seen.max(axis=(1, 2)).tolist() == [levels.TOP] * 2
    assert [int(p[:, 40].argmax()) for p in seen] == [1, 2]  # bins of 21.5 Hz, from the first
    loud = levels.loudness(torch.tensor([levels.TOP, levels.TOP - 40, 0]))
    assert loud.tolist() == pytest.approx([1, 10 ** (-20 / 40), 0.01])
