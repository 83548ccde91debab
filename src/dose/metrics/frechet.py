"""Frechet distance between two sets of embeddings (FAD), and its value for infinitely many items.

Definition: |mu_x - mu_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)), means and (n - 1) covariances of the
two sets. The last trace is the nuclear norm of F_x F_y^T for any factors C = F^T F, which stays real and
accurate where a general matrix root of C_x C_y turns complex (fewer items than dimensions). Unit: squared
embedding units; lower is better; never negative. Source: Kilgour et al., Interspeech 2019.

It is biased upward by about (dimension)^2 / n. `frechet_infinity` removes the leading part as Chong and
Forsyth (CVPR 2020) do, with sub-sets drawn WITHOUT replacement: with replacement most of the bias stays.
"""

import numpy as np

from dose.errors import DoseError

MIN_SET = 8  # items below which a distance between sets says nothing


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    """[n, D] and [m, D] -> distance. Raises DoseError for sets that have no covariance or are not finite."""
    x, y = _checked(x), _checked(y)
    if x.shape[1] != y.shape[1]:
        raise DoseError(f"Embeddings of {x.shape[1]} and {y.shape[1]} dimensions cannot be compared.")
    shift = x.mean(axis=0) - y.mean(axis=0)
    fx, fy = _factor(x), _factor(y)
    cross = np.linalg.svd(fx @ fy.T, compute_uv=False).sum()
    return max(0.0, float(shift @ shift + (fx * fx).sum() + (fy * fy).sum() - 2 * cross))


def frechet_infinity(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, *, sizes: int = 6, draws: int = 3
) -> float:
    """[n, W, D] and [n, W, D] of paired items -> the distance extrapolated to infinitely many items.

    A line through the distances of random sub-sets of n/2 .. n items against 1 / size, read at 0. The same
    items are drawn from both sets. May be negative when the truth is near zero.
    """
    n = min(len(x), len(y))
    if len(x) != len(y) or n < 8:
        raise DoseError(f"Extrapolation needs at least 8 paired items, not {len(x)} and {len(y)}.")
    counts, values = [], []
    for count in np.unique(np.linspace(n / 2, n, sizes).astype(int)):
        for _ in range(draws if count < n else 1):
            pick = rng.permutation(n)[:count]
            counts.append(count)
            values.append(frechet(_flat(x[pick]), _flat(y[pick])))
    slope_and_intercept = np.polyfit(1 / np.array(counts), np.array(values), 1)
    return float(slope_and_intercept[1])


def frechet_package(x: np.ndarray, y: np.ndarray) -> float:
    """The same distance by frechet-audio-distance's own code, for figures named after that package.

    About 15 times slower than `frechet`; agrees to 1e-3 where both covariances have full rank.
    """
    from dose.metrics.fad_package import FrechetAudioDistance

    # Its statistics methods use nothing of the instance, whose constructor would download a network.
    instance = FrechetAudioDistance.__new__(FrechetAudioDistance)
    statistics = [instance.calculate_embd_statistics(_checked(a)) for a in (x, y)]
    return float(np.real(instance.calculate_frechet_distance(*statistics[0], *statistics[1])))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(-1, x.shape[-1])


def _checked(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise DoseError(f"A Frechet distance needs at least 2 embeddings as [n, D], not {x.shape}.")
    if not np.isfinite(x).all():
        raise DoseError("The embeddings hold values that are not finite.")
    return x


def _factor(x: np.ndarray) -> np.ndarray:
    """F with F^T F = covariance: the centred data itself, or the smaller triangle of its QR if n > D."""
    centred = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if len(x) <= x.shape[1]:
        return centred
    covariance = centred.T @ centred
    try:
        return np.linalg.cholesky(covariance).T
    except np.linalg.LinAlgError:  # rank-deficient, as for copies of one sound
        values, vectors = np.linalg.eigh(covariance)
        return (vectors * np.sqrt(values.clip(min=0))).T
