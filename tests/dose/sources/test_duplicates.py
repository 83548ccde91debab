"""The fast search, held against the definition."""

import numpy as np
import pytest

from dose.sources.duplicates import clusters, pairs


def naive(first: np.ndarray, second: np.ndarray) -> float:
    """Every shift, one by one."""
    norm = np.sqrt((first**2).sum() * (second**2).sum())
    return max(np.correlate(first, second, "full")) / norm


def sounds(rng: np.random.Generator) -> list[np.ndarray]:
    """Twelve decaying noises of several lengths, then relatives of the first four."""
    base = [
        np.exp(-np.arange(n) / 300) * np.convolve(rng.standard_normal(n), np.ones(1 + i % 3), "same")
        for i, n in enumerate([900, 700, 1000, 800] * 3)
    ]
    louder = 0.3 * base[0]
    shifted = np.concatenate([np.zeros(37), base[1]])
    noisy = base[2] + 0.1 * base[2].std() * rng.standard_normal(len(base[2]))
    ruined = base[3] + 0.7 * base[3].std() * rng.standard_normal(len(base[3]))
    return [*base, louder, shifted, noisy, ruined]


def test_the_correlation_is_the_best_over_all_shifts(rng):
    for a, b in [(0, 12), (1, 13), (2, 14), (3, 15), (0, 5)]:
        every = sounds(rng)
        two = [every[a], every[b]]
        correlation = naive(*two)
        assert pairs(two, correlation - 1e-9) == [(0, 1)]
        assert pairs(two, correlation + 1e-9) == []


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97])
def test_the_filter_loses_no_pair(rng, threshold):
    every = sounds(rng)
    slow = [
        (a, b)
        for a in range(len(every))
        for b in range(a + 1, len(every))
        if naive(every[a], every[b]) > threshold
    ]
    assert slow
    assert pairs(every, threshold) == slow


def test_low_pure_tones_pass_the_filter_too(rng):
    """Kicks have all their power in a few bins: the case where bands decide least."""
    time = np.arange(4000) / 44100
    every = [
        np.sin(2 * np.pi * f * time) * np.exp(-time * d) for f in (50, 50.5, 52, 60) for d in (10, 12, 40)
    ]
    slow = [(a, b) for a in range(12) for b in range(a + 1, 12) if naive(every[a], every[b]) > 0.97]
    assert pairs(every, 0.97) == slow


def test_clusters_join_chains_under_the_first(rng):
    a, b = rng.standard_normal((2, 500))
    chain = [a, a + 0.15 * b, a + 0.3 * b, b]
    assert naive(chain[0], chain[2]) < 0.97
    assert clusters(chain, 0.97) == [0, 0, 0, 3]
    assert clusters([], 0.97) == []
    assert clusters([a], 0.97) == [0]


@pytest.fixture
def rng():
    return np.random.default_rng(5)
