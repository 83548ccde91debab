"""Bootstrap: coverage, pairing, normalised improvement."""

import numpy as np
import pytest

from dose.metrics.bootstrap import (
    mean_difference,
    mean_estimate,
    normalised_improvement,
    quantile_estimate,
    resamples,
    set_estimate,
)


def test_resamples_are_counts_that_sum_to_the_number_of_items_and_repeat_with_the_seed():
    counts = resamples(30, 50, seed=3)
    assert counts.shape == (50, 30)
    assert (counts.sum(axis=1) == 30).all()
    assert np.array_equal(counts, resamples(30, 50, seed=3))
    assert not np.array_equal(counts, resamples(30, 50, seed=4))


def test_the_interval_of_a_mean_has_about_its_nominal_coverage():
    rng = np.random.default_rng(0)
    counts = resamples(60, 400, seed=0)
    covered = 0
    for _ in range(200):
        estimate = mean_estimate(rng.exponential(2.0, 60), counts)
        covered += estimate.low <= 2.0 <= estimate.high
    assert 0.86 <= covered / 200 <= 0.99


def test_a_mean_excludes_and_counts_undefined_values():
    values = np.array([1.0, np.nan, 3.0, np.nan])
    estimate = mean_estimate(values, resamples(4, 200, seed=0))
    assert (estimate.value, estimate.n) == (2.0, 2)
    assert 1.0 <= estimate.low <= estimate.high <= 3.0
    assert mean_estimate(np.full(4, np.nan), resamples(4, 200, seed=0)) is None


def test_paired_differences_are_narrower_than_the_systems_own_intervals():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 5, 100)
    a, b = common + rng.normal(1, 0.1, 100), common + rng.normal(0, 0.1, 100)
    counts = resamples(100, 500, seed=0)
    difference, alone = mean_difference(a, b, counts), mean_estimate(a, counts)
    assert difference.low < 1.0 < difference.high
    assert difference.high - difference.low < 0.2 * (alone.high - alone.low)


def test_a_set_figures_interval_is_centred_on_it():
    replicates = np.random.default_rng(0).normal(7.0, 1.0, 500)  # moved upward, as a resampled FAD is
    estimate = set_estimate(4.0, replicates, 100)
    assert estimate.low == pytest.approx(2.04, abs=0.3)
    assert estimate.high == pytest.approx(5.96, abs=0.3)
    assert set_estimate(0.5, replicates, 100, floor=0.0).low == 0.0


def test_normalised_improvement_of_the_papers_means_is_the_papers():
    counts = resamples(10, 200, seed=0)
    baseline, system, reconstruction = (np.full(10, v) for v in (5.153, 3.700, 1.832))
    estimate = normalised_improvement(baseline, system, reconstruction, counts)
    assert estimate.value == pytest.approx(0.4375, abs=1e-3)
    assert estimate.low == pytest.approx(estimate.high)
    assert normalised_improvement(reconstruction, system, baseline, counts) is None


def test_a_quantile_is_that_of_the_finite_values_and_its_interval_holds_the_truth():
    values = np.array([1.0, 2.0, np.nan, 3.0, 100.0])
    estimate = quantile_estimate(values, resamples(5, 300, seed=0), 0.5)
    assert (estimate.value, estimate.n) == (2.5, 4)
    assert estimate.low <= 2.5 <= estimate.high
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(100):
        estimate = quantile_estimate(rng.uniform(0, 1, 80), resamples(80, 200, seed=1), 0.9)
        covered.append(estimate.low <= 0.9 <= estimate.high)
    assert np.mean(covered) > 0.85
    assert quantile_estimate(np.full(4, np.nan), resamples(4, 200, seed=0), 0.5) is None
