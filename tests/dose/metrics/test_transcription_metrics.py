"""Onset F-measure, velocity error, ghost notes and tempo accuracy, against mir_eval and by hand."""

import math

import mir_eval
import numpy as np
import pytest

from dose.metrics.bootstrap import ratio_estimate, resamples
from dose.metrics.transcription import (
    Counts,
    count,
    ghost_notes,
    match,
    mean_f_measure,
    tempo_right,
    velocity_error,
)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("window", [0.05, 0.02])
def test_the_f_measure_is_mir_evals(seed, window):
    rng = np.random.default_rng(seed)
    reference = np.sort(rng.uniform(0, 10, 60))
    reported = np.sort(np.concatenate([reference[::2] + rng.normal(0, 0.02, 30), rng.uniform(0, 10, 12)]))
    reported = np.abs(reported)
    found = count(reference, reported, window)
    f, precision, recall = mir_eval.onset.f_measure(reference, np.sort(reported), window)
    assert (found.f_measure, found.precision, found.recall) == pytest.approx((f, precision, recall))


def test_each_onset_is_matched_once_and_to_the_largest_number():
    # Nearest first would pair 1.04 with 1.05 and leave 1.00 and 1.09 without a partner.
    assert count(np.array([1.0, 1.05]), np.array([1.04, 1.09]), 0.05) == Counts(matched=2)
    assert count(np.array([1.0]), np.array([0.99, 1.0, 1.01]), 0.05) == Counts(matched=1, false=2)


def test_the_window_decides():
    assert count(np.array([1.0]), np.array([1.03]), 0.05) == Counts(matched=1)
    assert count(np.array([1.0]), np.array([1.03]), 0.02) == Counts(false=1, missed=1)


def test_pairs_refer_to_the_given_order():
    pairs = match(np.array([3.0, 1.0, 2.0]), np.array([2.0, 9.0, 3.0]), 0.05)
    assert sorted(map(tuple, pairs.tolist())) == [(0, 2), (2, 0)]


def test_empty_lists():
    empty = np.array([])
    assert math.isnan(count(empty, empty, 0.05).f_measure)
    assert count(empty, np.array([1.0]), 0.05).f_measure == 0
    assert count(np.array([1.0]), empty, 0.05).f_measure == 0
    assert math.isnan(count(np.array([1.0]), empty, 0.05).precision)


@pytest.mark.parametrize("bad", [[np.nan], [-1.0], [np.inf]])
def test_onsets_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        match(np.array(bad), np.array([1.0]), 0.05)
    with pytest.raises(ValueError, match="window"):
        match(np.array([1.0]), np.array([1.0]), 0.0)


def test_the_corpus_figure_is_of_sums_and_the_mean_is_of_mixes():
    dense, sparse = Counts(matched=90, false=10, missed=10), Counts(false=1, missed=1)
    assert (dense + sparse).f_measure == pytest.approx(180 / 202)
    assert mean_f_measure([dense, sparse, Counts()]) == pytest.approx(0.45)  # the empty mix has none
    assert math.isnan(mean_f_measure([Counts()]))


def test_velocity_error_is_zero_for_a_common_factor_only_after_scaling():
    reference = np.array([100, 60, 30])
    assert velocity_error(reference, reference * 0.5, scaled=True) == pytest.approx(0)
    assert velocity_error(reference, reference * 0.5, scaled=False) == pytest.approx(190 / 2 / 3)
    assert velocity_error(reference, reference + 10, scaled=False) == 10
    assert math.isnan(velocity_error(np.array([]), np.array([]), scaled=True))
    with pytest.raises(ValueError, match="velocities"):
        velocity_error(reference, reference[:2], scaled=True)


def test_ghost_notes_are_those_below_50():
    found = ghost_notes(np.array([49, 50, 20, 10]), np.array([True, True, False, True]))
    assert found == Counts(matched=2, missed=1)
    assert math.isnan(ghost_notes(np.array([90]), np.array([False])).recall)


@pytest.mark.parametrize(
    ("reported", "exact", "octave"),
    [(120, True, True), (124.7, True, True), (125, False, False), (60, False, True), (40.5, False, True),
     (361, False, True), (80, False, False), (None, False, False)],
)  # fmt: skip
def test_tempo_accuracy(reported, exact, octave):
    assert tempo_right(120, reported, octaves=False) is exact
    assert tempo_right(120, reported, octaves=True) is octave


def test_a_reference_tempo_must_be_positive():
    with pytest.raises(ValueError, match="tempo"):
        tempo_right(0, 120, octaves=False)


def test_a_ratio_of_sums_has_an_interval_around_it():
    rng = np.random.default_rng(0)
    whole = rng.integers(5, 50, 80)
    part = rng.binomial(whole, 0.7)
    estimate = ratio_estimate(part, whole, resamples(80, 500, 0))
    assert estimate.value == pytest.approx(part.sum() / whole.sum())
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low < 0.08
    assert ratio_estimate(np.zeros(3), np.zeros(3), resamples(3, 20, 0)) is None
