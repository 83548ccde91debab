"""Distances between sets: against scipy, the public package and slow definitions; identities; bias."""

import numpy as np
import pytest
import scipy.linalg

from dose.errors import DoseError
from dose.evaluate.scoring import size_curve
from dose.metrics.bootstrap import resamples
from dose.metrics.fad import fad_infinity, frechet_distance, package_frechet_distance
from dose.metrics.kad import SCALE, kad, median_distance


def _sets(n: int, size: int, seed: int = 0, shift: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    bend = rng.standard_normal((size, size)) / np.sqrt(size)
    return rng.standard_normal((n, size)) @ bend, shift + 1.3 * rng.standard_normal((n, size)) @ bend.T


def _scipy_frechet(x: np.ndarray, y: np.ndarray) -> float:
    cx, cy = (np.cov(a, rowvar=False) for a in (x, y))
    root = scipy.linalg.sqrtm(cx @ cy).real
    return float(np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cx + cy - 2 * root))


@pytest.mark.parametrize(("n", "size"), [(400, 16), (600, 128), (300, 7)])
def test_frechet_distance_agrees_with_scipy_and_the_package(n, size):
    x, y = _sets(n, size)
    assert frechet_distance(x, y) == pytest.approx(_scipy_frechet(x, y), rel=1e-6)
    assert package_frechet_distance(x, y) == pytest.approx(frechet_distance(x, y), rel=1e-6)


def test_frechet_of_fewer_items_than_dimensions_agrees_with_scipy():
    x, y = _sets(40, 64)
    assert frechet_distance(x, y) == pytest.approx(_scipy_frechet(x, y), rel=1e-3)


def test_frechet_is_zero_for_itself_and_never_negative():
    for n, size in ((100, 20), (30, 200), (500, 3)):
        x, _ = _sets(n, size)
        assert 0 <= frechet_distance(x, x) < 1e-6
        assert 0 <= frechet_distance(x, x[::-1] + 1e-9) < 1e-6
    repeated = np.repeat(_sets(4, 16)[0], 30, axis=0)  # rank 3
    assert 0 <= frechet_distance(repeated, repeated) < 1e-6


def test_extrapolation_removes_most_of_the_bias():
    """True distance 0, 64 dimensions: plain FAD at n = 200 is far above it."""
    plain, infinite = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((2, 200, 1, 64))
        plain.append(frechet_distance(x[:, 0], y[:, 0]))
        infinite.append(fad_infinity(x, y, rng))
    assert np.mean(plain) > 5
    assert abs(np.mean(infinite)) < 0.25 * np.mean(plain)


def _slow_kad(x: np.ndarray, y: np.ndarray, kernel: str) -> float:
    """The U-statistic by loops over items and windows, float64."""
    sigma = median_distance(y.reshape(-1, y.shape[-1]))

    def k(a, b):
        if kernel == "rbf":
            return np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))
        return (a @ b / len(a) + 1) ** 3

    def items(a, b):
        return np.mean([[k(u, v) for v in b] for u in a])

    n, total = len(x), 0.0
    for i in range(n):
        for j in range(n):
            if i != j:
                total += items(x[i], x[j]) + items(y[i], y[j]) - items(x[i], y[j]) - items(y[i], x[j])
    return SCALE * total / (n * (n - 1))


@pytest.mark.parametrize("kernel", ["rbf", "polynomial"])
def test_kad_equals_its_slow_definition_also_in_blocks(kernel, monkeypatch):
    x, y = (a.reshape(9, 3, 5) for a in _sets(27, 5))
    expected = _slow_kad(x, y, kernel)
    assert kad(x, y, kernel=kernel).value == pytest.approx(expected, rel=1e-3)
    monkeypatch.setattr("dose.metrics.kad._BLOCK", 12)
    assert kad(x, y, kernel=kernel).value == pytest.approx(expected, rel=1e-3)


def test_kad_replicates_are_the_statistic_of_the_resample_without_repeated_pairs():
    x, y = (a.reshape(6, 1, 4) for a in _sets(6, 4))
    counts = np.array([[2, 0, 1, 1, 2, 0]])
    picks = np.repeat(np.arange(6), counts[0])
    sigma = median_distance(y.reshape(-1, 4))

    def k(a, b):
        return np.exp(-np.sum((a - b) ** 2) / (2 * sigma**2))

    terms = [
        k(x[i, 0], x[j, 0]) + k(y[i, 0], y[j, 0]) - k(x[i, 0], y[j, 0]) - k(y[i, 0], x[j, 0])
        if i != j else 0.0
        for a, i in enumerate(picks) for b, j in enumerate(picks) if a != b
    ]  # fmt: skip
    pairs = 36 - np.sum(counts**2)
    assert kad(x, y, counts).replicates[0] == pytest.approx(SCALE * np.sum(terms) / pairs, rel=1e-3)


def test_kad_of_two_halves_of_one_set_has_zero_inside_its_interval():
    inside = 0
    for seed in range(10):
        x = np.random.default_rng(seed).standard_normal((400, 1, 16))
        found = kad(x[:200], x[200:], resamples(200, 200, seed))
        centred = found.replicates - np.median(found.replicates) + found.value
        low, high = np.percentile(centred, [2.5, 97.5])
        inside += low <= 0 <= high
    assert inside >= 8


def test_more_noise_never_lowers_a_distance():
    rng = np.random.default_rng(1)
    y = rng.standard_normal((200, 1, 8))
    noise = rng.standard_normal((200, 1, 8))
    noisy = [y + level * noise for level in (0.3, 1.0, 3.0)]
    for scores in ([frechet_distance(x[:, 0], y[:, 0]) for x in noisy], [kad(x, y).value for x in noisy]):
        assert scores == sorted(scores)


@pytest.mark.parametrize("bad", [np.zeros((1, 4)), np.zeros(4), np.full((5, 4), np.inf)])
def test_sets_without_a_distance_are_rejected(bad):
    with pytest.raises(DoseError):
        frechet_distance(bad, np.random.default_rng(0).standard_normal((5, 4)))
    with pytest.raises(DoseError):
        kad(bad[..., None, :], np.zeros((5, 1, 4)))


def test_fad_falls_with_more_items_and_kad_does_not():
    x, y = np.random.default_rng(0).standard_normal((2, 256, 1, 32))
    curve = size_curve(x, y, seed=0)
    fad, kad_values = list(curve["fad"].values()), list(curve["kad"].values())
    assert list(curve["fad"]) == [32, 64, 128, 256]
    assert fad == sorted(fad, reverse=True)
    assert fad[0] > 4 * fad[-1]
    assert np.abs(kad_values).max() < 2
