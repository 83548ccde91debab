"""Kernel audio distance (KAD): an unbiased distance between two sets of embeddings.

Definition: 100 times the U-statistic of the squared maximum mean discrepancy. An item is the set of its
windows; the kernel of two items is the mean over their window pairs; pairs of one and the same item, and of
a generated item with its own truth, are left out. Kernels: "rbf", exp(-d^2 / (2 s^2)) with s the median
distance within the reference; "polynomial", (a.b / D + 1)^3. Unit: none; lower is better; unbiased, so it
scatters around 0 (below it, too) when the sets are alike. Sources: Gretton et al., JMLR 2012; Binkowski et
al., ICLR 2018 (polynomial); Chung et al., KAD, 2025 (RBF with the reference's median, the factor 100).
"""

import dataclasses
from typing import Literal

import numpy as np
import torch

from dose.errors import DoseError

SCALE = 100.0
_BLOCK = 2048  # embedding rows per block of a Gram matrix: 16 MB in float32

Kernel = Literal["rbf", "polynomial"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kad:
    value: float
    replicates: np.ndarray  # [R]: the same statistic on each resample


def kad(
    generated: np.ndarray,
    reference: np.ndarray,
    counts: np.ndarray | None = None,
    *,
    kernel: Kernel = "rbf",
    bandwidth: float | None = None,
) -> Kad:
    """[n, W, D] and [n, W, D], and resamples [R, n] -> Kad. n^2 time, memory of a few blocks.

    Raises DoseError unless both have the same n >= 2 and all is finite.
    """
    x, y = _checked(generated, reference)
    n, windows, size = x.shape
    weights = np.ones((1, n)) if counts is None else np.concatenate([np.ones((1, n)), counts])
    w = torch.from_numpy(weights.astype(np.float32))
    if kernel == "rbf":
        sigma = bandwidth or median_distance(reference.reshape(-1, size))
        scale = 1 / (np.sqrt(2) * sigma)
        centre = y.mean(dim=(0, 1))
        x, y = (x - centre) * scale, (y - centre) * scale  # so that the kernel is exp(-|a - b|^2)
    step = max(1, _BLOCK // windows)
    totals = torch.zeros(len(w), dtype=torch.float64)
    for i in range(0, n, step):
        for j in range(i, n, step):
            block = _statistic(x[i : i + step], y[i : i + step], x[j : j + step], y[j : j + step], kernel)
            if i == j:
                block.fill_diagonal_(0)
            part = ((w[:, i : i + step] @ block) * w[:, j : j + step]).sum(dim=1, dtype=torch.float64)
            totals += part if i == j else 2 * part
    pairs = weights.sum(axis=1) ** 2 - np.square(weights).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = SCALE * totals.numpy() / pairs
    return Kad(value=float(values[0]), replicates=values[1:][pairs[1:] > 0])


def median_distance(embeddings: np.ndarray, most: int = 1000) -> float:
    """Median Euclidean distance over pairs of at most `most` evenly chosen rows; 1 if all are alike."""
    rows = embeddings[np.linspace(0, len(embeddings) - 1, min(most, len(embeddings))).astype(int)]
    distances = torch.pdist(torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32)))
    return float(distances[distances > 0].median()) if (distances > 0).any() else 1.0


def _checked(generated: np.ndarray, reference: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    if generated.shape != reference.shape or generated.ndim != 3 or len(generated) < 2:
        raise DoseError(
            f"KAD needs two sets of one shape [n >= 2, W, D], not {generated.shape} and {reference.shape}."
        )
    if not (np.isfinite(generated).all() and np.isfinite(reference).all()):
        raise DoseError("The embeddings hold values that are not finite.")
    return tuple(torch.from_numpy(np.asarray(a, dtype=np.float32)) for a in (generated, reference))  # type: ignore[return-value]


def _statistic(xi, yi, xj, yj, kernel: Kernel) -> torch.Tensor:
    """h(i, j) = k(x, x') + k(y, y') - k(x, y') - k(y, x') for two blocks of items -> [b, c]."""
    return _items(xi, xj, kernel) + _items(yi, yj, kernel) - _items(xi, yj, kernel) - _items(yi, xj, kernel)


def _items(a: torch.Tensor, b: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    """[b, W, D], [c, W, D] -> mean kernel over window pairs [b, c]."""
    flat_a, flat_b = a.flatten(0, 1), b.flatten(0, 1)
    if kernel == "rbf":
        gram = torch.addmm(flat_b.square().sum(1)[None], flat_a, flat_b.T, alpha=-2)
        gram = gram.add_(flat_a.square().sum(1)[:, None]).clamp_(min=0).neg_().exp_()
    else:
        gram = (flat_a @ flat_b.T).div_(a.shape[-1]).add_(1).pow_(3)
    if a.shape[1] == 1:
        return gram
    return gram.view(len(a), a.shape[1], len(b), b.shape[1]).mean(dim=(1, 3))
