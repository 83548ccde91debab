"""The change of KAD from one model to another on the same items, with its bootstrap, in one matrix product.

The result equals the difference of `dose.metrics.kad.kad` for both models (held by a test). Here the
reference's own kernel matrix cancels, and the two models' matrices are subtracted before the resample counts
are applied, which is where all the time goes.
"""

import dataclasses

import numpy as np
import torch

from dose.errors import DoseError
from dose.metrics.kad import SCALE, median_distance

BLOCK_WINDOWS = 2048  # windows per block of a Gram matrix, which bounds the memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class KadChange:
    """KAD of both models, and old minus new on every resample [R]."""

    old: float
    new: float
    replicates: np.ndarray


def kad_change(old: np.ndarray, new: np.ndarray, reference: np.ndarray, counts: np.ndarray) -> KadChange:
    """Embeddings [n, W, D] of the same items, resample counts [R, n].

    Gaussian (RBF) kernel whose bandwidth is the reference's median distance, for both models. Takes n^2 time.
    Raises DoseError for embeddings of different shapes or with values that are not finite.
    """
    if not (old.shape == new.shape == reference.shape) or reference.ndim != 3 or len(reference) < 2:
        raise DoseError(
            f"The embeddings {old.shape}, {new.shape} and {reference.shape} are not of one shape."
        )
    if not all(np.isfinite(a).all() for a in (old, new, reference)):
        raise DoseError("The embeddings hold values that are not finite.")
    n, windows, size = reference.shape
    # Scaled so that the kernel is exp(-|x - y|^2); centred so that float32 keeps its precision.
    scale = 1 / (np.sqrt(2) * median_distance(reference.reshape(-1, size)))
    centre = reference.mean(axis=(0, 1))
    x_old, x_new, y = (
        torch.from_numpy(((x - centre) * scale).astype(np.float32)) for x in (old, new, reference)
    )
    weights = torch.from_numpy(np.asarray(counts, dtype=np.float32))  # [R, n]
    totals = torch.zeros(len(weights), dtype=torch.float64)
    sums = torch.zeros(2, dtype=torch.float64)
    # Items per block.
    step = max(1, BLOCK_WINDOWS // windows)
    for i in range(0, n, step):
        block = slice(i, min(i + step, n))
        # Per pair of items the terms of MMD^2: k(x, x) - 2 k(x, y) + k(y, y), without an item's own pair.
        yy = _zero_diagonal(_gram(y[block], y), i)
        matrices = [
            _zero_diagonal(_gram(x[block], x) - _gram(x[block], y) - _gram(y[block], x), i)
            for x in (x_old, x_new)
        ]
        sums += torch.stack([(m + yy).sum(dtype=torch.float64) for m in matrices])
        change = matrices[0].sub_(matrices[1])  # [b, n]; k(y, y) cancels
        totals += ((weights[:, block] @ change) * weights).sum(dim=1, dtype=torch.float64)
    value = SCALE * sums.numpy() / (n * (n - 1))
    # A resample that draws an item k times has k^2 fewer pairs of different items.
    pairs = counts.sum(axis=1, dtype=np.float64) ** 2 - np.square(counts, dtype=np.float64).sum(axis=1)
    valid = pairs > 0
    return KadChange(
        old=float(value[0]), new=float(value[1]), replicates=SCALE * totals.numpy()[valid] / pairs[valid]
    )


def _gram(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """[b, W, D], [n, W, D], scaled -> mean over window pairs of exp(-|x - y|^2), [b, n]."""
    p, q = x.flatten(0, 1), y.flatten(0, 1)
    # |p - q|^2 = |q|^2 - 2 p.q + |p|^2, in place
    gram = torch.addmm(q.square().sum(1)[None], p, q.T, alpha=-2)
    gram = gram.add_(p.square().sum(1)[:, None]).clamp_(min=0).neg_().exp_()
    if x.shape[1] == 1:
        return gram
    return gram.view(len(x), x.shape[1], len(y), y.shape[1]).mean(dim=(1, 3))


def _zero_diagonal(block: torch.Tensor, first: int) -> torch.Tensor:
    """Zeroes the pairs of an item with itself, in place; the block's rows begin at item `first`."""
    rows = torch.arange(len(block))
    block[rows, rows + first] = 0
    return block
