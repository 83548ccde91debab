import numpy as np
import pytest
from scipy import signal

from dose.audio import RATE
from dose.rmod.pitch import PitchCache, shift_fast, shift_librosa


def _music(seconds=2.0):
    """A plucked chord over noise: partials, transients and a floor."""
    t = np.arange(int(seconds * RATE)) / RATE
    beat = t % 0.5
    tones = sum(np.sin(2 * np.pi * f * t) / k for k, f in enumerate((110, 277, 440, 1320, 3300), 1))
    noise = np.random.default_rng(0).normal(0, 0.02, t.size)
    return (0.2 * tones * np.exp(-4 * beat) + noise * np.exp(-20 * beat)).astype(np.float32)


def _spectrogram(x):
    return np.abs(signal.stft(x, RATE, nperseg=2048, noverlap=1536)[2])


@pytest.mark.slow
@pytest.mark.parametrize("semitones", [-12, -6, -1, 2, 7, 12])
def test_the_fast_shift_stays_within_the_stated_distance_of_librosas(semitones):
    """Spectral convergence below 0.01 (-40 dB) and log-spectral distance below 0.1 dB above -60 dB."""
    x = _music()
    want, got = _spectrogram(shift_librosa(x, semitones)), _spectrogram(shift_fast(x, semitones))
    assert np.linalg.norm(got - want) / np.linalg.norm(want) < 0.01
    floor = want.max() * 1e-3
    distance = 20 * np.log10(np.maximum(got, floor) / np.maximum(want, floor))
    assert np.abs(distance).mean() < 0.1


@pytest.mark.parametrize("semitones", [-12, -5, 3, 12])
def test_a_tone_moves_by_the_semitones_and_keeps_its_length(semitones):
    x = np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE).astype(np.float32)
    y = shift_fast(x, semitones)
    assert y.shape == x.shape
    assert y.dtype == np.float32
    found = np.argmax(np.abs(np.fft.rfft(y * np.hanning(y.size))))
    assert found == pytest.approx(441 * 2 ** (semitones / 12), abs=1)


def test_silence_and_no_shift():
    assert not shift_fast(np.zeros(RATE, np.float32), 5).any()
    x = _music(1.0)
    np.testing.assert_allclose(shift_fast(x, 0), x, atol=1e-4)


def test_the_cache_gives_the_same_bytes_and_keeps_to_its_limit():
    sounds = [np.random.default_rng(i).normal(0, 0.3, 1000).astype(np.float32) for i in range(5)]
    cache = PitchCache(limit=3 * 2000)
    first = [cache.put((i,), s) for i, s in enumerate(sounds)]
    assert cache.bytes == 6000
    assert cache.get((0,)) is None
    assert cache.get((1,)) is None
    for i in (2, 3, 4):
        np.testing.assert_array_equal(cache.get((i,)), first[i])
    np.testing.assert_allclose(first[0], sounds[0], atol=5e-5)
    np.testing.assert_array_equal(cache.put((0,), sounds[0]), first[0])  # made again: the same
    assert cache.get((2,)) is None  # the one not used for longest made room
    assert not PitchCache(limit=10**6).put((0,), np.zeros(10, np.float32)).any()
