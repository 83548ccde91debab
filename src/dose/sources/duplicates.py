"""Finds clips that are the same recording: equal up to gain, a shift, and a little more.

Two clips are near-duplicates when their normalised cross-correlation, at the best shift, is above a
threshold. By Cauchy-Schwarz that correlation is at most sum |X||Y| over the spectrum, which is at most the
scalar product of the clips' band magnitudes. So a matrix product of band magnitudes rules out almost every
pair without ever losing a true one; only the rest is correlated in full.
"""

from collections.abc import Sequence

import numpy as np

BANDS = 512


def clusters(sounds: Sequence[np.ndarray], threshold: float) -> list[int]:
    """For each sound [N] the smallest index in its cluster (connected by near-duplicate pairs)."""
    parent = list(range(len(sounds)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in pairs(sounds, threshold):
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return [root(i) for i in range(len(sounds))]


def pairs(sounds: Sequence[np.ndarray], threshold: float) -> list[tuple[int, int]]:
    """All (a, b), a < b, whose aligned correlation is above `threshold`."""
    if len(sounds) < 2:
        return []
    size = _fft_size(2 * max(map(len, sounds)))
    edges = band_edges(size // 2 + 1)
    bands = np.stack([_bands(_spectrum(s, size), edges) for s in sounds])
    bound = bands @ bands.T
    found = []
    for a in range(len(sounds)):
        candidates = a + 1 + np.flatnonzero(bound[a, a + 1 :] > threshold)
        if not len(candidates):
            continue
        first = _spectrum(sounds[a], size)
        found += [
            (a, b)
            for b in candidates.tolist()
            if _exceeds(first, _spectrum(sounds[b], size), size, threshold)
        ]
    return found


def aligned_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """The largest normalised cross-correlation over all shifts; 0 where one is silent."""
    size = _fft_size(len(first) + len(second))
    return float(_correlation(_spectrum(first, size), _spectrum(second, size), size).max())


def _exceeds(first: np.ndarray, second: np.ndarray, size: int, threshold: float) -> bool:
    inner = 2 * float(np.abs(first[1:]) @ np.abs(second[1:])) + abs(first[0] * second[0])
    return inner > threshold and _correlation(first, second, size).max() > threshold


def _correlation(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    return np.fft.irfft(first * second.conj(), size) * size


def _spectrum(sound: np.ndarray, size: int) -> np.ndarray:
    """rfft scaled so that the two-sided power sums to 1."""
    spectrum = np.fft.rfft(np.asarray(sound, np.float64), size)
    power = 2 * np.sum(np.abs(spectrum) ** 2) - np.abs(spectrum[0]) ** 2
    return spectrum / np.sqrt(power) if power > 0 else spectrum


def band_edges(bins: int) -> np.ndarray:
    """Starts of about BANDS bands over `bins`: every bin at the bottom, wider and wider above."""
    return np.unique(
        np.concatenate([np.arange(BANDS // 4), np.geomspace(BANDS // 4, bins - 1, BANDS).astype(int)])
    )


def _bands(spectrum: np.ndarray, edges: np.ndarray) -> np.ndarray:
    power = 2 * np.abs(spectrum) ** 2
    power[0] /= 2
    return np.sqrt(np.add.reduceat(power, edges))


def _fft_size(samples: int) -> int:
    return 1 << int(samples - 1).bit_length()
