"""Kernel audio distance (KAD): an unbiased distance between two sets of embeddings.

Definition: 100 times the U-statistic of the squared maximum mean discrepancy. An item is the set of its
windows; the kernel of two items is the mean over their window pairs; pairs of one and the same item, and of a
generated item with its own reference, are left out. Kernels: "rbf", exp(-d^2 / (2 s^2)) with s the median
distance within the references; "polynomial", (a.b / D + 1)^3. Unit: none; lower is better; unbiased, so the
value scatters around 0, also below it, for equal distributions. Sources: Gretton et al., JMLR 2012; Binkowski
et al., ICLR 2018 (polynomial); Chung et al., KAD, 2025 (RBF with the references' median, the factor 100).
"""

import dataclasses
from typing import Literal

import numpy as np
import torch

from dose.errors import DoseError

SCALE = 100.0  # Chung et al., so that figures are readable
_BLOCK = 2048  # embeddings per block of a Gram matrix: 16 MB in float32

Kernel = Literal["rbf", "polynomial"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class KadResult:
    value: float
    replicates: np.ndarray  # [R]: the statistic on each bootstrap resample


def kad(
    generated: np.ndarray,
    reference: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    kernel: Kernel = "rbf",
    bandwidth: float | None = None,
) -> KadResult:
    """[n, W, D], [n, W, D] of paired items, resample counts [R, n] -> KadResult.

    `bandwidth` is s of the RBF kernel; None takes the median distance. n^2 time, memory of a few blocks.
    Raises DoseError unless both sets have the same n >= 2 and all values are finite.
    """
    x, y = _checked(generated, reference)
    n, windows, size = x.shape
    # Row 0 weights every item once: the value itself. The other rows are the resamples.
    weights = np.ones((1, n)) if counts is None else np.concatenate([np.ones((1, n)), counts])
    w = torch.from_numpy(weights.astype(np.float32))  # [1 + R, n]
    if kernel == "rbf":
        sigma = bandwidth or median_distance(reference.reshape(-1, size))
        scale = 1 / (np.sqrt(2) * sigma)
        centre = y.mean(dim=(0, 1))
        x, y = (x - centre) * scale, (y - centre) * scale  # so that the kernel is exp(-|a - b|^2)
    # The statistic is symmetric in i and j: blocks on and above the diagonal suffice.
    step = max(1, _BLOCK // windows)
    totals = torch.zeros(len(w), dtype=torch.float64)
    for i in range(0, n, step):
        for j in range(i, n, step):
            h = _statistic(x[i : i + step], y[i : i + step], x[j : j + step], y[j : j + step], kernel)
            if i == j:
                h.fill_diagonal_(0)
            block_sum = ((w[:, i : i + step] @ h) * w[:, j : j + step]).sum(dim=1, dtype=torch.float64)
            totals += block_sum if i == j else 2 * block_sum
    # Pairs of different items in each resample; copies of one item in a resample are no pair.
    pairs = weights.sum(axis=1) ** 2 - np.square(weights).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample of one item only has no pair
        values = SCALE * totals.numpy() / pairs
    return KadResult(value=float(values[0]), replicates=values[1:][pairs[1:] > 0])


def median_distance(embeddings: np.ndarray, limit: int = 1000) -> float:
    """[n, D] -> median Euclidean distance between at most `limit` evenly spaced rows; 1 if all are equal.

    1000 rows give half a million distances, enough for a median.
    """
    count = min(limit, len(embeddings))
    # Evenly spaced rather than random, so that the bandwidth needs no seed.
    rows = embeddings[np.linspace(0, len(embeddings) - 1, count).astype(int)]
    distances = torch.pdist(torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)))
    return float(distances[distances > 0].median()) if (distances > 0).any() else 1.0


def _checked(generated: np.ndarray, reference: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    if generated.shape != reference.shape or generated.ndim != 3 or len(generated) < 2:
        raise DoseError(
            f"KAD needs two sets of one shape [n >= 2, W, D], not {generated.shape} and {reference.shape}."
        )
    if not (np.isfinite(generated).all() and np.isfinite(reference).all()):
        raise DoseError("The embeddings hold values that are not finite.")
    x, y = (torch.from_numpy(np.asarray(a, dtype=np.float32)) for a in (generated, reference))
    return x, y


def _statistic(
    xi: torch.Tensor, yi: torch.Tensor, xj: torch.Tensor, yj: torch.Tensor, kernel: Kernel
) -> torch.Tensor:
    """h(i, j) = k(x, x') + k(y, y') - k(x, y') - k(y, x') for two blocks of items -> [b, c]."""
    return (
        _item_kernel(xi, xj, kernel)
        + _item_kernel(yi, yj, kernel)
        - _item_kernel(xi, yj, kernel)
        - _item_kernel(yi, xj, kernel)
    )


def _item_kernel(a: torch.Tensor, b: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    """[b, W, D], [c, W, D] -> mean kernel over window pairs [b, c]."""
    flat_a, flat_b = a.flatten(0, 1), b.flatten(0, 1)  # [b * W, D], [c * W, D]
    if kernel == "rbf":
        # |a - b|^2 = |a|^2 + |b|^2 - 2 a.b, in place; clamped because rounding may make it negative.
        gram = torch.addmm(flat_b.square().sum(1)[None], flat_a, flat_b.T, alpha=-2)
        gram = gram.add_(flat_a.square().sum(1)[:, None]).clamp_(min=0).neg_().exp_()
    else:
        gram = (flat_a @ flat_b.T).div_(a.shape[-1]).add_(1).pow_(3)
    if a.shape[1] == 1:
        return gram
    return gram.view(len(a), a.shape[1], len(b), b.shape[1]).mean(dim=(1, 3))
