"""Band energies: on the codec's grid, at the right time, of the right level."""

import numpy as np
import pytest
import torch

from dose.audio import RATE
from dose.tokens import band_energies


def tone(hz: float, seconds: float, gain: float = 1.0) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype(np.float32)


def naive_powers(sound: np.ndarray) -> np.ndarray:
    """The definition, one frame and one band at a time."""
    out = []
    padded = np.pad(sound.astype(np.float64), band_energies.LONG)
    for t in range(len(sound) // band_energies.HOP):
        middle = band_energies.LONG + t * band_energies.HOP + band_energies.HOP // 2
        spectra = {}
        for size in (band_energies.LONG, band_energies.SHORT):
            window = torch.hann_window(size, dtype=torch.float64).numpy()
            cut = padded[middle - size // 2 : middle + size // 2] * window
            spectra[size] = np.abs(np.fft.rfft(cut)) ** 2 / (window**2).sum()
        row = [spectra[band_energies.LONG][b] for b in band_energies.LOW_BINS]
        hz = np.arange(band_energies.SHORT // 2 + 1) * RATE / band_energies.SHORT
        for low, high in zip(band_energies.EDGES[:-1], band_energies.EDGES[1:], strict=True):
            inside = (hz >= low) & (hz < high)
            inside[np.abs(hz - (low + high) / 2).argmin()] = True
            row.append(spectra[band_energies.SHORT][inside].sum())
        out.append(row)
    return np.array(out).T


def test_band_energies_equal_the_naive_version():
    sound = np.random.default_rng(0).normal(size=9000).astype(np.float32)
    assert band_energies.band_energies(sound[None])[0] == pytest.approx(
        naive_powers(sound), rel=1e-3, abs=1e-5
    )


def test_high_bands_have_equal_ratios_and_centres_lie_inside():
    edges, low = np.array(band_energies.EDGES), len(band_energies.LOW_BINS)
    assert edges[[0, -1]] == pytest.approx([500, 20_000])
    assert edges[1:] / edges[:-1] == pytest.approx(np.full(24, 40 ** (1 / 24)))
    centres = np.array(band_energies.CENTRES)
    assert len(centres) == band_energies.BANDS
    assert centres[[0, low - 1]] == pytest.approx([RATE / 2048, 23 * RATE / 2048])
    assert centres[low:] ** 2 == pytest.approx(edges[:-1] * edges[1:])


def test_a_segments_onset_follows_the_lead_and_its_loudest_band_has_the_maximum():
    mix = np.zeros(3 * RATE, np.float32)
    start = 50_000
    mix[start : start + 6000] = tone(3000, 1)[:6000]
    rows = band_energies.segment_features(mix, [start], [0.5], 2, 20)
    assert rows.shape == (band_energies.FEATURES, 2 * (band_energies.PRE_ONSET_FRAMES + 20))
    first, second = np.split(rows, 2, axis=1)
    assert np.array_equal(first, second)  # one onset, repeated
    assert first[: band_energies.BANDS].max() == band_energies.MAX_LEVEL
    assert not first[
        len(band_energies.LOW_BINS) : band_energies.BANDS, : band_energies.PRE_ONSET_FRAMES - 1
    ].any()
    assert first[band_energies.BANDS].tolist() == [band_energies.MAX_LEVEL // 2] * (
        band_energies.PRE_ONSET_FRAMES + 20
    )


def test_gain_changes_nothing_and_silence_and_the_edges_of_a_mix_are_no_error():
    mix = np.random.default_rng(1).normal(size=RATE).astype(np.float32)
    places = [0, RATE - 10]
    assert np.array_equal(
        band_energies.segment_features(mix, places, [1, 1], 3, 10),
        band_energies.segment_features(0.25 * mix, places, [1, 1], 3, 10),
    )
    assert not band_energies.segment_features(mix, [], [], 2, 10).any()
    assert not band_energies.segment_features(np.zeros(RATE, np.float32), [5], [0.0], 2, 10).any()


def test_pitch_and_level_are_visible():
    shots = np.stack([tone(50, 1), 0.1 * tone(70, 1)])
    levels = band_energies.quantised_spectrograms(shots, 87)
    assert levels.shape == (2, band_energies.BANDS, 87)
    assert levels.max(axis=(1, 2)).tolist() == [band_energies.MAX_LEVEL] * 2
    assert [int(p[:, 40].argmax()) for p in levels] == [1, 2]  # bins of 21.5 Hz, from the first
    loud = band_energies.compress_power(
        torch.tensor([band_energies.MAX_LEVEL, band_energies.MAX_LEVEL - 40, 0])
    )
    assert loud.tolist() == pytest.approx([1, 10 ** (-20 / 40), 0.01])
