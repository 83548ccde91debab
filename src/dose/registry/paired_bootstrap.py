"""The change of KAD from one model to another on the same items, with its bootstrap, in one matrix product.

`dose.metrics.kad.kad` of both models, subtracted, says the same: the test suite holds the two together.
Here the truth's own kernel cancels out, and the two models' matrices are subtracted before the resamples are
applied, which is where all the time goes.
"""

import dataclasses

import numpy as np
import torch

from dose.errors import DoseError
from dose.metrics.kad import SCALE, median_distance

_ROWS = 2048  # windows per block of a Gram matrix


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """KAD of both models, and old minus new on every resample [R]."""

    old: float
    new: float
    replicates: np.ndarray


def kad_change(old: np.ndarray, new: np.ndarray, truth: np.ndarray, counts: np.ndarray) -> Change:
    """Embeddings [n, W, D] of the same items, resamples [R, n].

    RBF kernel with the truth's median distance, for both models. n^2 time; raises DoseError for embeddings
    that do not fit together or are not finite.
    """
    if not (old.shape == new.shape == truth.shape) or truth.ndim != 3 or len(truth) < 2:
        raise DoseError(f"The embeddings {old.shape}, {new.shape} and {truth.shape} are not of one shape.")
    if not all(np.isfinite(a).all() for a in (old, new, truth)):
        raise DoseError("The embeddings hold values that are not finite.")
    n, windows, size = truth.shape
    scale = 1 / (np.sqrt(2) * median_distance(truth.reshape(-1, size)))
    centre = truth.mean(axis=(0, 1))
    a, b, y = (torch.from_numpy(((x - centre) * scale).astype(np.float32)) for x in (old, new, truth))
    w = torch.from_numpy(np.asarray(counts, dtype=np.float32))
    totals = torch.zeros(len(w), dtype=torch.float64)
    sums = torch.zeros(2, dtype=torch.float64)
    step = max(1, _ROWS // windows)
    for i in range(0, n, step):
        block = slice(i, min(i + step, n))
        yy = _hollow(_gram(y[block], y), i)
        matrices = [_hollow(_gram(x[block], x) - _gram(x[block], y) - _gram(y[block], x), i) for x in (a, b)]
        sums += torch.stack([(m + yy).sum(dtype=torch.float64) for m in matrices])
        change = matrices[0].sub_(matrices[1])
        totals += ((w[:, block] @ change) * w).sum(dim=1, dtype=torch.float64)
    value = SCALE * sums.numpy() / (n * (n - 1))
    pairs = counts.sum(axis=1, dtype=np.float64) ** 2 - np.square(counts, dtype=np.float64).sum(axis=1)
    valid = pairs > 0
    return Change(
        old=float(value[0]), new=float(value[1]), replicates=SCALE * totals.numpy()[valid] / pairs[valid]
    )


def _gram(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[b, W, D], [n, W, D], scaled -> mean over window pairs of exp(-|x - y|^2), [b, n]."""
    p, q = x.flatten(0, 1), y.flatten(0, 1)
    gram = torch.addmm(q.square().sum(1)[None], p, q.T, alpha=-2)
    gram = gram.add_(p.square().sum(1)[:, None]).clamp_(min=0).neg_().exp_()
    if x.shape[1] == 1:
        return gram
    return gram.view(len(x), x.shape[1], len(y), y.shape[1]).mean(dim=(1, 3))


def _hollow(block: torch.Tensor, first: int) -> torch.Tensor:
    """Without the pairs of an item with itself; the block's rows begin at item `first`."""
    rows = torch.arange(len(block))
    block[rows, rows + first] = 0
    return block
