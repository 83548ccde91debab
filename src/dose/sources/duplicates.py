"""Finds clips that are the same recording: equal up to gain, a shift and small changes.

Two clips are near-duplicates when their normalised cross-correlation, at the best shift, is above a
threshold. By Cauchy-Schwarz that correlation is at most sum |X||Y| over the spectrum, which is at most the
scalar product of the clips' band magnitudes. So a matrix product of band magnitudes rules out almost every
pair and never a near-duplicate; only the remaining pairs are correlated in full.
"""

from collections.abc import Sequence

import numpy as np
import scipy.fft
import scipy.sparse.csgraph

BANDS = 512  # more bands tighten the bound and enlarge the matrices: a default, without a study
ROUNDING = 1e-3  # the bands are float32: their rounding must not push the bound below the correlation


def clusters(sounds: Sequence[np.ndarray], threshold: float) -> list[int]:
    """For each sound [N] the smallest index in its cluster (connected by near-duplicate pairs)."""
    if not sounds:
        return []
    edges = np.array(pairs(sounds, threshold), int).reshape(-1, 2)
    graph = scipy.sparse.coo_array((np.ones(len(edges)), edges.T), shape=(len(sounds),) * 2)
    _, labels = scipy.sparse.csgraph.connected_components(graph, directed=False)
    leaders: dict[int, int] = {}
    return [leaders.setdefault(label, i) for i, label in enumerate(labels.tolist())]


def pairs(sounds: Sequence[np.ndarray], threshold: float) -> list[tuple[int, int]]:
    """All (a, b), a < b, whose aligned correlation is above `threshold`."""
    if len(sounds) < 2:
        return []
    size = _fft_size(2 * max(map(len, sounds)))
    # Zero-padded to twice the longest sound: correlation without wrap-around.
    edges = band_edges(size // 2 + 1)
    # 1. An upper bound on every pair's correlation: bands [n, bands], bound [n, n].
    bands = np.stack([_bands(_spectrum(s.astype(np.float32), size), edges) for s in sounds])
    bound = bands @ bands.T + ROUNDING
    # 2. The correlation itself, where the bound does not rule the pair out.
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
    # A tighter bound than the bands', and cheaper than the inverse transform.
    if _two_sided(np.abs(first) * np.abs(second)).sum() <= threshold:
        return False
    return bool(_correlation(first, second, size).max() > threshold)


def _correlation(first: np.ndarray, second: np.ndarray, size: int) -> np.ndarray:
    correlation: np.ndarray = scipy.fft.irfft(first * second.conj(), size) * size
    return correlation


def _spectrum(sound: np.ndarray, size: int) -> np.ndarray:
    """rfft [size // 2 + 1] of unit two-sided power; float32 stays float32, anything else becomes float64."""
    sound = sound if sound.dtype == np.float32 else np.asarray(sound, np.float64)
    spectrum: np.ndarray = scipy.fft.rfft(sound, size)
    power = _two_sided(np.abs(spectrum) ** 2).sum()
    return spectrum / np.sqrt(power) if power > 0 else spectrum


def _two_sided(values: np.ndarray) -> np.ndarray:
    """One value per bin of an even-sized rfft, counted for both signs of frequency."""
    values = 2 * values
    values[[0, -1]] /= 2
    return values


def band_edges(bins: int) -> np.ndarray:
    """First bins of about BANDS bands: single bins at the bottom, of growing width above."""
    return np.unique(
        np.concatenate([np.arange(BANDS // 4), np.geomspace(BANDS // 4, bins - 1, BANDS).astype(int)])
    )


def _bands(spectrum: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.sqrt(np.add.reduceat(_two_sided(np.abs(spectrum) ** 2), edges))


def _fft_size(samples: int) -> int:
    """The next even length with small factors only."""
    return 2 * int(scipy.fft.next_fast_len((samples + 1) // 2))
