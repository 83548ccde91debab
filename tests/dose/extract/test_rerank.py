"""Reranking: the candidate that is in the mix ranks first."""

import dataclasses

import librosa
import numpy as np
import pytest
import torch
from extract_beat import RATE, drum_loop

from dose.extract.rerank import (
    SECONDS,
    consensus,
    mean_distances,
    onset_spectrogram,
    pan,
    score,
    similarity,
    spectral_flux,
)
from dose.extract.segments import Segment
from dose.extract.tail import clean_tail
from dose.tokens import band_energies
from dose.transcription.windows import WINDOW as SEGMENT

TIME = np.arange(RATE) / RATE
SNARE = (np.random.default_rng(1).normal(size=RATE) * np.exp(-18 * TIME)).astype(np.float32)
KICK = (np.sin(2 * np.pi * 55 * TIME) * np.exp(-10 * TIME)).astype(np.float32)
ONSETS = (RATE // 2, 2 * RATE)


def _segment(*sounds: tuple[np.ndarray, int, float]) -> Segment:
    mix = np.zeros(SEGMENT + RATE, np.float32)
    for sound, at, gain in sounds:
        mix[at : at + RATE] += gain * sound
    return Segment(
        audio=mix[None, :SEGMENT], start=0, onsets=ONSETS, likelihood=(1.0, 1.0), onset_snr=(1.0, 1.0)
    )


def test_the_sound_that_is_in_the_mix_ranks_first():
    chord = np.sin(2 * np.pi * 330 * np.arange(SEGMENT) / RATE).astype(np.float32) * 0.05
    segment = _segment((SNARE, ONSETS[0], 0.3), (SNARE, ONSETS[1], 0.2), (KICK, RATE, 0.5))
    segment = dataclasses.replace(segment, audio=segment.audio + chord)
    scores = score([KICK, SNARE, -0.1 * SNARE], [segment], "snare")
    assert scores.order[-1] == 0
    assert scores.conditioning_fit[1] > 0.9
    assert scores.conditioning_fit[1] == pytest.approx(
        scores.conditioning_fit[2], abs=1e-5
    )  # neither gain nor sign matter
    assert scores.conditioning_fit[0] < 0.6
    assert scores.self_consistency[1] > scores.self_consistency[0]


def test_the_expected_sound_ranks_first_and_is_matched():
    segment = _segment((SNARE, ONSETS[0], 0.3), (SNARE, ONSETS[1], 0.2), (KICK, RATE, 0.5))
    expected = band_energies.compress_power(
        torch.from_numpy(band_energies.quantised_spectrograms(SNARE[None], 87))
    )[0].numpy()
    shots = np.stack([KICK, KICK, SNARE, KICK])  # also against a majority
    scores = score(shots, [segment], "snare", expected)
    assert scores.order[0] == 2
    assert scores.conditioning_fit[2] == pytest.approx(1)
    assert scores.conditioning_fit[0] < 0.5
    # Already as expected; only the end of its tail changes.
    assert np.abs(consensus(shots, expected, (), "snare") - clean_tail(SNARE)).max() < 1e-4
    assert (consensus(shots, None, (), "snare") == KICK).all()


def test_background_before_the_onset_is_subtracted():
    organ = np.sin(2 * np.pi * 700 * np.arange(SEGMENT) / RATE).astype(np.float32) * 0.3
    clean = _segment((SNARE, ONSETS[0], 0.3), (SNARE, ONSETS[1], 0.3))
    covered = dataclasses.replace(clean, audio=clean.audio + organ)
    (flux_clean, _), (flux_covered, _) = spectral_flux(clean, "snare"), spectral_flux(covered, "snare")
    assert similarity(onset_spectrogram(SNARE, "snare"), flux_covered) > 0.9 * similarity(
        onset_spectrogram(SNARE, "snare"), flux_clean
    )


def test_similarity_equals_a_naive_cosine():
    shot = onset_spectrogram(SNARE, "snare")
    flux = np.stack([onset_spectrogram(KICK, "snare"), onset_spectrogram(SNARE * 0.5, "snare")])
    naive = max(float((shot * r).sum() / np.linalg.norm(shot) / np.linalg.norm(r)) for r in flux)
    assert similarity(shot, flux) == pytest.approx(naive, rel=1e-4)
    assert similarity(shot, flux) == pytest.approx(1, abs=1e-4)


def test_an_onset_spectrogram_starts_at_the_attack():
    late = np.concatenate([np.zeros(5000, np.float32), SNARE])[:RATE]
    assert onset_spectrogram(late, "snare") == pytest.approx(onset_spectrogram(SNARE, "snare"), abs=0.02)
    assert (
        onset_spectrogram(SNARE, "hihat").shape[1]
        < onset_spectrogram(SNARE, "kick").shape[1]
        == -(-int(SECONDS["kick"] * RATE) // 256)
    )
    assert not onset_spectrogram(np.zeros(100, np.float32), "kick").any()


def test_an_onset_at_the_start_of_a_segment_has_only_later_shifts():
    segment = dataclasses.replace(_segment((SNARE, 0, 0.3)), onsets=(0,), likelihood=(1.0,), onset_snr=(1.0,))
    [flux] = spectral_flux(segment, "snare")
    assert len(flux) == 3  # of 5: 0, 1 and 2 frames later
    assert flux[0].any()


def test_equal_candidates_are_consistent_whatever_their_number():
    segment = _segment((SNARE, ONSETS[0], 0.3))
    for n in (2, 3):
        assert score([SNARE] * n, [segment], "snare").self_consistency == pytest.approx(np.ones(n))


def test_mean_distances_equal_a_naive_computation():
    """By librosa; the gain of a one-shot does not matter. The mean includes the distance 0 to itself."""
    distance = 0.0
    for size in (2048, 512, 128):
        snare, kick = (
            np.abs(librosa.stft(x / np.abs(x).max(), n_fft=size, hop_length=size // 4, pad_mode="reflect"))
            for x in (SNARE, KICK)
        )
        distance += np.mean((snare - kick) ** 2)
    distances = mean_distances(np.stack([SNARE, KICK, 0.1 * KICK]))
    assert distances == pytest.approx([2 / 3 * distance, distance / 3, distance / 3], rel=1e-3)


def test_scores_of_a_single_candidate_and_without_onsets():
    segment = dataclasses.replace(_segment((KICK, 0, 1.0)), onsets=(), likelihood=(), onset_snr=())
    scores = score([KICK], [segment], "kick")
    assert scores.self_consistency.tolist() == [1.0]
    assert scores.conditioning_fit.tolist() == [0.0]


def test_pan_of_a_panned_drum():
    stereo = drum_loop(4.0)
    segment = Segment(
        audio=stereo[:, :SEGMENT], start=0, onsets=(RATE // 2,), likelihood=(1.0,), onset_snr=(1.0,)
    )
    assert pan(segment, "snare") == pytest.approx((0.5, 1.0), abs=0.05)
    swapped = dataclasses.replace(segment, audio=segment.audio[::-1])
    assert pan(swapped, "snare") == pytest.approx((1.0, 0.5), abs=0.05)
