"""Coherent averages: hits of one sample add up, others are left out."""

import numpy as np
import pytest
from test_source_blend import burst, expected, segment, waveform_similarity, with_hit

from dose.audio import RATE
from dose.extract.source.average import UNCONFIRMED, averages
from dose.extract.source.blend import source_segments
from dose.transcription.windows import WINDOW as SEGMENT

HITS = (10_000, 40_000, 70_000, 100_000, 130_000)
SAMPLE = burst(1)  # what the model made: the expected spectrogram with another fine structure


def noise(level: float, seed: int = 3) -> np.ndarray:
    return level * np.random.default_rng(seed).normal(size=SEGMENT)


def test_hits_of_one_sample_come_nearer_to_it_than_the_best_of_them():
    true = burst(0)
    mix = noise(0.02) + sum(with_hit(at, true) for at in HITS)
    segments = [segment(mix, HITS)]
    [average] = averages(SAMPLE, expected(true), segments, "hihat")
    alone = source_segments(SAMPLE, expected(true), segments)[0]
    assert average.hits == len(HITS)

    def error(sound):
        """Share of the energy that is not the drum's, at the best lag."""
        return 1 - waveform_similarity(sound, true) ** 2

    # Independent noise of five hits: a fifth of its power, give or take what alignment costs.
    assert error(average.sound) < 0.4 * error(alone.sound)


def test_hits_are_placed_to_the_sample():
    """Hits that start off the alignment's grid of 32 samples still add up."""
    true = burst(0)
    off_grid = tuple(at + shift for at, shift in zip(HITS, (0, 5, 11, 17, 26), strict=True))
    mix = sum(with_hit(at, true) for at in off_grid)
    [average] = averages(SAMPLE, expected(true), [segment(mix, HITS)], "hihat")
    assert average.hits == len(HITS)
    assert waveform_similarity(average.sound, true) > 0.95


def test_two_samples_are_two_groups_the_more_frequent_one_first():
    first, second = burst(0), burst(7)
    mix = sum(with_hit(at, first) for at in HITS[:3]) + sum(with_hit(at, second) for at in HITS[3:])
    groups = averages(SAMPLE, expected(first), [segment(mix, HITS)], "hihat")
    assert [group.hits for group in groups] == [3, 2]
    assert waveform_similarity(groups[0].sound, first) > 0.9
    assert waveform_similarity(groups[1].sound, second) > 0.9


def test_where_no_hits_agree_the_best_is_trusted_less():
    live = [burst(seed) for seed in range(20, 25)]  # each stroke another sound
    mix = sum(with_hit(at, sound) for at, sound in zip(HITS, live, strict=True))
    segments = [segment(mix, HITS)]
    [lone] = averages(SAMPLE, expected(live[0]), segments, "hihat")
    best = source_segments(SAMPLE, expected(live[0]), segments)[0]
    assert (lone.hits, lone.trust) == (1, UNCONFIRMED * best.trust)
    assert np.array_equal(lone.sound, best.sound)


def test_a_hit_in_two_windows_counts_once():
    true = burst(0)
    mix = sum(with_hit(at, true) for at in HITS)
    twice = [segment(mix, HITS), segment(mix, HITS)]
    [average] = averages(SAMPLE, expected(true), twice, "hihat")
    assert average.hits == len(HITS)


def test_of_few_hits_the_best_one_is_taken_as_it_is():
    true = burst(0)
    segments = [segment(noise(0.01) + sum(with_hit(at, true) for at in HITS[:3]), HITS[:3])]
    found = averages(SAMPLE, expected(true), segments, "hihat")
    assert [source.hits for source in found] == [1, 1, 1]
    assert np.array_equal(found[0].sound, source_segments(SAMPLE, expected(true), segments)[0].sound)


def test_without_hits_there_is_nothing():
    assert averages(SAMPLE, expected(SAMPLE), [segment(np.zeros(SEGMENT), ())], "hihat") == []


@pytest.mark.parametrize("other", [0.0, 0.3])
def test_what_differs_between_hits_fades(other):
    """Another drum on two of five hits."""
    true, tom = burst(0), np.sin(2 * np.pi * 150 * np.arange(RATE) / RATE) * np.exp(-np.arange(RATE) / 9000)
    mix = sum(with_hit(at, true) for at in HITS) + sum(with_hit(at, tom, other) for at in HITS[:2])
    [average] = averages(SAMPLE, expected(true), [segment(mix, HITS)], "hihat")[:1]
    low = np.abs(np.fft.rfft(average.sound))[100:200].sum() / np.abs(np.fft.rfft(average.sound)).sum()
    assert low < 0.02
