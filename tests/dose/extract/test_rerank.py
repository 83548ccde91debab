"""The right sound wins, and what is said of it follows from the mix."""

import dataclasses

import numpy as np
import pytest
import torch
from extract_beat import RATE, drum_loop

from dose.extract.rerank import SECONDS, consensus, onset_spectrogram, pan, score, similarity, spectral_flux
from dose.extract.segments import SEGMENT, Segment
from dose.tokens import band_energies

TIME = np.arange(RATE) / RATE
SNARE = (np.random.default_rng(1).normal(size=RATE) * np.exp(-18 * TIME)).astype(np.float32)
KICK = (np.sin(2 * np.pi * 55 * TIME) * np.exp(-10 * TIME)).astype(np.float32)
HITS = (RATE // 2, 2 * RATE)


def _window(*sounds: tuple[np.ndarray, int, float]) -> Segment:
    mix = np.zeros(SEGMENT + RATE, np.float32)
    for sound, at, gain in sounds:
        mix[at : at + RATE] += gain * sound
    return Segment(
        audio=mix[None, :SEGMENT], start=0, onsets=HITS, likelihood=(1.0, 1.0), onset_snr=(1.0, 1.0)
    )


def test_the_sound_that_is_in_the_mix_wins():
    chord = np.sin(2 * np.pi * 330 * np.arange(SEGMENT) / RATE).astype(np.float32) * 0.05
    window = _window((SNARE, HITS[0], 0.3), (SNARE, HITS[1], 0.2), (KICK, RATE, 0.5))
    window = dataclasses.replace(window, audio=window.audio + chord)
    scores = score([KICK, SNARE, -0.1 * SNARE], [window], "snare")
    assert scores.order[-1] == 0
    assert scores.conditioning_fit[1] > 0.9
    assert scores.conditioning_fit[1] == pytest.approx(
        scores.conditioning_fit[2], abs=1e-5
    )  # neither gain nor sign matter
    assert scores.conditioning_fit[0] < 0.6
    assert scores.self_consistency[1] > scores.self_consistency[0]


def test_the_sound_that_the_listener_expects_wins_and_is_shaped_towards_it():
    window = _window((SNARE, HITS[0], 0.3), (SNARE, HITS[1], 0.2), (KICK, RATE, 0.5))
    expected = band_energies.compress_power(
        torch.from_numpy(band_energies.quantised_spectrograms(SNARE[None], 87))
    )[0].numpy()
    shots = np.stack([KICK, KICK, SNARE, KICK])  # also against a majority
    scores = score(shots, [window], "snare", expected)
    assert scores.order[0] == 2
    assert scores.conditioning_fit[2] == pytest.approx(1)
    assert scores.conditioning_fit[0] < 0.5
    assert np.abs(consensus(shots, expected) - SNARE).max() < 1e-4  # already as expected
    assert (consensus(shots, None) == KICK).all()


def test_what_sounded_before_the_hit_does_not_count():
    organ = np.sin(2 * np.pi * 700 * np.arange(SEGMENT) / RATE).astype(np.float32) * 0.3
    clean = _window((SNARE, HITS[0], 0.3), (SNARE, HITS[1], 0.3))
    covered = dataclasses.replace(clean, audio=clean.audio + organ)
    (rise, _), (rise_covered, _) = spectral_flux(clean, "snare"), spectral_flux(covered, "snare")
    assert similarity(onset_spectrogram(SNARE, "snare"), rise_covered) > 0.9 * similarity(
        onset_spectrogram(SNARE, "snare"), rise
    )


def test_likeness_equals_a_slow_cosine():
    shot = onset_spectrogram(SNARE, "snare")
    rises = np.stack([onset_spectrogram(KICK, "snare"), onset_spectrogram(SNARE * 0.5, "snare")])
    slow = max(float((shot * r).sum() / np.linalg.norm(shot) / np.linalg.norm(r)) for r in rises)
    assert similarity(shot, rises) == pytest.approx(slow, rel=1e-4)
    assert similarity(shot, rises) == pytest.approx(1, abs=1e-4)


def test_a_picture_starts_at_the_attack():
    late = np.concatenate([np.zeros(5000, np.float32), SNARE])[:RATE]
    assert onset_spectrogram(late, "snare") == pytest.approx(onset_spectrogram(SNARE, "snare"), abs=0.02)
    assert (
        onset_spectrogram(SNARE, "hihat").shape[1]
        < onset_spectrogram(SNARE, "kick").shape[1]
        == -(-int(SECONDS["kick"] * RATE) // 256)
    )
    assert not onset_spectrogram(np.zeros(100, np.float32), "kick").any()


def test_a_single_candidate_agrees_with_itself_and_no_hits_match_nothing():
    window = dataclasses.replace(_window((KICK, 0, 1.0)), onsets=(), likelihood=(), onset_snr=())
    scores = score([KICK], [window], "kick")
    assert scores.self_consistency.tolist() == [1.0]
    assert scores.conditioning_fit.tolist() == [0.0]


def test_pan_of_a_panned_drum():
    stereo = drum_loop(4.0)
    window = Segment(
        audio=stereo[:, :SEGMENT], start=0, onsets=(RATE // 2,), likelihood=(1.0,), onset_snr=(1.0,)
    )
    assert pan(window, "snare") == pytest.approx((0.5, 1.0), abs=0.05)
    swapped = dataclasses.replace(window, audio=window.audio[::-1])
    assert pan(swapped, "snare") == pytest.approx((1.0, 0.5), abs=0.05)
