"""Finds clips that are the same recording: equal up to gain, a shift, and a little more.

Two clips are near-duplicates when their normalised cross-correlation, at the best shift, is above a
threshold. By Cauchy-Schwarz that correlation is at most sum |X||Y| over the spectrum, which is at most the
scalar product of the clips' band magnitudes. So a matrix product of band magnitudes rules out almost every
pair without ever losing a true one; only the rest is correlated in full.
"""

from collections.abc import Sequence

import numpy as np
import scipy.fft

BANDS = 512
ROUNDING = 1e-3  # the bands are computed in float32; the bound must not fall below the truth


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
    bands = np.stack([_bands(_spectrum(s.astype(np.float32), size), edges) for s in sounds])
    bound = bands @ bands.T + ROUNDING
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


def _exceeds(first: np.ndarray, second: np.ndarray, size: int, threshold: float) -> bool:
    if _two_sided(np.abs(first) * np.abs(second)).sum() <= threshold:
        return False
    return bool(_correlation(first, second, size).max() > threshold)


def _correlation(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    return scipy.fft.irfft(first * second.conj(), size) * size


def _spectrum(sound: np.ndarray, size: int) -> np.ndarray:
    """rfft scaled so that the two-sided power sums to 1; float32 stays so, anything else is float64."""
    sound = sound if sound.dtype == np.float32 else np.asarray(sound, np.float64)
    spectrum = scipy.fft.rfft(sound, size)
    power = _two_sided(np.abs(spectrum) ** 2).sum()
    return spectrum / np.sqrt(power) if power > 0 else spectrum


def _two_sided(values: np.ndarray) -> np.ndarray:
    """One value per bin of an even-sized rfft, counted for both signs of frequency."""
    values = 2 * values
    values[[0, -1]] /= 2
    return values


def band_edges(bins: int) -> np.ndarray:
    """Starts of about BANDS bands over `bins`: every bin at the bottom, wider and wider above."""
    return np.unique(
        np.concatenate([np.arange(BANDS // 4), np.geomspace(BANDS // 4, bins - 1, BANDS).astype(int)])
    )


def _bands(spectrum: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.sqrt(np.add.reduceat(_two_sided(np.abs(spectrum) ** 2), edges))


def _fft_size(samples: int) -> int:
    """The next even length with small factors only."""
    return 2 * scipy.fft.next_fast_len((samples + 1) // 2)
