"""Distances between pairs: identities, monotony in noise, a slow definition, another implementation."""

import numpy as np
import pytest
import torch
from drum_sounds import shot, shots

from dose.errors import AudioError
from dose.metrics import mss
from dose.metrics.attack import attack_error
from dose.metrics.envelope import envelope_distance
from dose.metrics.lsd import log_spectral_distance

KICKS = shots("kick", 3)


def _slow_mss(x: np.ndarray, y: np.ndarray, *, log: bool) -> float:
    """MSS by plain loops over numpy frames."""
    values = []
    for size in mss.SIZES:
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        spectra = []
        for sound in (x, y):
            padded = np.pad(sound.astype(np.float64), size // 2)
            starts = range(0, len(sound) + 1, size // 4)
            frames = np.stack([padded[s : s + size] * window for s in starts])
            spectra.append(np.abs(np.fft.rfft(frames)))
        a, b = (np.log(np.maximum(s, mss.FLOOR)) for s in spectra) if log else spectra
        values.append(np.mean((a - b) ** 2))
    return float(np.mean(values))


@pytest.mark.parametrize("log", [False, True])
def test_mss_equals_its_slow_definition(log):
    x, y = shot("snare", 1), shot("snare", 2)
    assert mss.mss(x, y, log=log)[0] == pytest.approx(_slow_mss(x, y, log=log), rel=1e-4)
    assert mss.mss_and_log(x, y)["mss_log" if log else "mss"][0] == pytest.approx(
        _slow_mss(x, y, log=log), rel=1e-4
    )


@pytest.mark.parametrize("size", [2048, 256])
def test_magnitudes_agree_with_auraloss(size):
    from auraloss.freq import STFTLoss

    theirs = STFTLoss(
        size, size // 4, size, w_sc=0, w_log_mag=0, w_lin_mag=1, mag_distance="L2", output="full"
    )
    x, y = (torch.from_numpy(shot("hihat", seed))[None, None] for seed in (1, 2))
    inner = slice(4, -4)  # auraloss pads by reflection, this protocol with zeros; the edges differ
    a, b = (mss.magnitudes(s[0], size)[0, :, inner] for s in (x, y))
    their_a, their_b = (theirs.stft(s[0])[0][0, :, inner] for s in (x, y))
    assert torch.allclose(a, their_a, atol=1e-3)
    assert torch.mean((a - b) ** 2).item() == pytest.approx(
        torch.mean((their_a - their_b) ** 2).item(), rel=1e-3
    )


def test_every_distance_of_a_sound_to_itself_is_zero():
    x = np.concatenate([KICKS, shots("hihat", 2)])
    for values in (*mss.mss_and_log(x, x).values(), log_spectral_distance(x, x),
                   envelope_distance(x, x), attack_error(x, x)):  # fmt: skip
        assert np.array_equal(values, np.zeros(5))


@pytest.mark.parametrize("distance", [
    mss.mss, lambda x, y: mss.mss(x, y, log=True), log_spectral_distance, envelope_distance,
])  # fmt: skip
def test_more_noise_is_never_better(distance):
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(44100).astype(np.float32)
    for drum in ("kick", "snare", "hihat"):
        clean = shot(drum, 3)
        scores = [float(distance(clean + level * noise, clean)[0]) for level in (0, 1e-3, 1e-2, 1e-1, 0.5)]
        assert scores == sorted(scores)
        assert scores[-1] > scores[0]


def test_batches_change_nothing():
    x, y = shots("kick", 20, seed=5), shots("kick", 20, seed=50)
    alone = np.array([mss.mss(a, b)[0] for a, b in zip(x, y, strict=True)])
    assert np.allclose(mss.mss(x, y), alone, rtol=1e-5)


@pytest.mark.parametrize("late_ms", [0, 5, 20])
def test_attack_error_is_the_shift(late_ms):
    late = np.roll(KICKS, int(late_ms * 44.1), axis=1)
    assert attack_error(late, KICKS) == pytest.approx(np.full(3, int(late_ms * 44.1) / 44.1))


def test_silence_scores_in_the_distances_and_has_no_attack():
    silent = np.zeros((1, 44100), np.float32)
    assert np.isnan(attack_error(silent, KICKS[:1]))
    for value in (*mss.mss_and_log(silent, KICKS[:1]).values(), log_spectral_distance(silent, KICKS[:1])):
        assert np.isfinite(value).all()
        assert value[0] > 0


@pytest.mark.parametrize("bad", [
    np.full((1, 44100), np.nan), np.zeros((1, 10)), np.zeros((1, 44099)), np.zeros((1, 2, 44100)),
])  # fmt: skip
@pytest.mark.parametrize("distance", [mss.mss, mss.mss_and_log, envelope_distance, attack_error])
def test_arrays_that_are_no_pair_are_rejected(distance, bad):
    with pytest.raises(AudioError):
        distance(bad, KICKS[:1])
