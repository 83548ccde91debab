"""Frechet audio distance (FAD) between two sets of embeddings, and its value for infinitely many items.

Definition: |mu_x - mu_y|^2 + tr(C_x) + tr(C_y) - 2 tr((C_x C_y)^(1/2)), with the means and (n - 1)
covariances of the two sets. Unit: squared embedding units; lower is better; never negative. Source: Kilgour
et al., Interspeech 2019.

The estimate is biased upward by about (dimensions)^2 / n. `fad_infinity` removes the leading part as Chong
and Forsyth (CVPR 2020) do, but on sub-sets sampled WITHOUT replacement: with replacement most of the bias
stays.
"""

import numpy as np

from dose.errors import DoseError

MIN_ITEMS = 8  # below that a distance between sets is not reported: its bias hides every difference


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """[n, D] and [m, D] -> distance. Raises DoseError for sets that have no covariance or are not finite.

    For any factors C_x = F_x^T F_x and C_y = F_y^T F_y the last trace is the nuclear norm of F_x F_y^T. That
    form stays real and accurate where a general matrix root of C_x C_y turns complex (fewer items than
    dimensions).
    """
    x, y = _checked(x), _checked(y)
    if x.shape[1] != y.shape[1]:
        raise DoseError(f"Embeddings of {x.shape[1]} and {y.shape[1]} dimensions cannot be compared.")
    shift = x.mean(axis=0) - y.mean(axis=0)
    fx, fy = _covariance_factor(x), _covariance_factor(y)
    cross = np.linalg.svd(fx @ fy.T, compute_uv=False).sum()  # the nuclear norm: sum of singular values
    # tr(F^T F) is the sum of squares of F. Rounding may leave a tiny negative sum for equal sets.
    return max(0.0, float(shift @ shift + (fx * fx).sum() + (fy * fy).sum() - 2 * cross))


def fad_infinity(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, *, sizes: int = 6, repeats: int = 3
) -> float:
    """[n, W, D] and [n, W, D] of paired items -> the distance extrapolated to infinitely many items.

    A least-squares line through the distances of random sub-sets of n/2 .. n items (`sizes` sizes, `repeats`
    sub-sets of each) against 1 / size, read at 0. A sub-set holds the same items of both sets. The result may
    be negative where the distance is near zero. Raises DoseError for unpaired sets or fewer than 8 items.
    """
    n = min(len(x), len(y))
    if len(x) != len(y) or n < 8:
        raise DoseError(f"Extrapolation needs at least 8 paired items, not {len(x)} and {len(y)}.")
    counts, values = [], []
    for count in np.unique(np.linspace(n / 2, n, sizes).astype(int)):
        # All n items give the same distance however often they are permuted.
        for _ in range(repeats if count < n else 1):
            subset = rng.permutation(n)[:count]
            counts.append(count)
            values.append(frechet_distance(flatten_windows(x[subset]), flatten_windows(y[subset])))
    slope_and_intercept = np.polyfit(1 / np.array(counts), np.array(values), 1)
    return float(slope_and_intercept[1])


def package_frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """[n, D] and [m, D] -> the same distance by the code of the package frechet-audio-distance.

    For figures that carry the package's name. About 15 times slower than `frechet_distance`; agrees to 1e-3
    where both covariances have full rank.
    """
    from dose.metrics.fad_package import FrechetAudioDistance

    # The two methods use nothing of the instance, whose constructor would download a network.
    package = FrechetAudioDistance.__new__(FrechetAudioDistance)
    moments = [package.calculate_embd_statistics(_checked(a)) for a in (x, y)]
    return float(np.real(package.calculate_frechet_distance(*moments[0], *moments[1])))


def flatten_windows(embeddings: np.ndarray) -> np.ndarray:
    """[n, W, D] -> [n * W, D]: every window of every item is one element of the set."""
    return embeddings.reshape(-1, embeddings.shape[-1])


def _checked(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise DoseError(f"A Frechet distance needs at least 2 embeddings as [n, D], not {x.shape}.")
    if not np.isfinite(x).all():
        raise DoseError("The embeddings hold values that are not finite.")
    return x


def _covariance_factor(x: np.ndarray) -> np.ndarray:
    """F with F^T F = covariance of x [n, D]: [n, D] if n <= D, else [D, D]."""
    centred: np.ndarray = (x - x.mean(axis=0)) / np.sqrt(len(x) - 1)
    if len(x) <= x.shape[1]:
        return centred
    covariance = centred.T @ centred
    try:
        lower: np.ndarray = np.linalg.cholesky(covariance)
        return lower.T
    except np.linalg.LinAlgError:  # rank-deficient, as for repetitions of one sound
        values, vectors = np.linalg.eigh(covariance)
        root: np.ndarray = vectors * np.sqrt(values.clip(min=0))
        return root.T
