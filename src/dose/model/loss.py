"""The paper's two cross entropies over the one-shot, computed as one weighted sum.

full:  every cell of the one-shot's rows, empty cells, start and end row included, averaged.
onset: the cells of the attack, averaged, times a weight.
"""

import dataclasses
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.tokens.layout import Pattern

Region = Literal["paper", "code"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Losses:
    """`total` carries gradients (full + weight x onset, in nats per token); the rest are detached."""

    total: Tensor
    full: Tensor
    onset: Tensor
    per_codebook: Tensor  # [K]
    accuracy: Tensor  # [K], over cells that hold a code


def onset_mask(rows: int, codebooks: int, region: Region, pattern: Pattern = "delay") -> Tensor:
    """Boolean [S, K]: the cells of a one-shot's rows that the onset loss counts.

    "paper": t + k <= K + 1 for frame t and codebook k, both counted from 1: a triangle of the first K delayed
    steps, K frames of the first codebook and one of the last. "code": the first K + 1 rows, all codebooks,
    start row and empty cells included, as the authors' training does.
    """
    row, k = torch.arange(rows)[:, None], torch.arange(codebooks)
    if region == "code":
        return (row <= codebooks).expand(rows, codebooks)
    frame = row - 1 - (k if pattern == "delay" else 0)  # from 0
    return (frame >= 0) & ((frame + 1) + (k + 1) <= codebooks + 1)


def losses(logits: Tensor, rows: Tensor, mask: Tensor, onset_weight: float) -> Losses:
    """logits [B, S, K, V] against the true token rows [B, S, K]; `mask` [S, K] from `onset_mask`."""
    b, s, k, v = logits.shape
    each = F.cross_entropy(logits.reshape(-1, v).float(), rows.reshape(-1), reduction="none").view(b, s, k)
    share = mask.to(each) / mask.sum()
    weights = 1 / (s * k) + onset_weight * share
    total = (each * weights).sum() / b
    with torch.no_grad():
        said = rows > 0
        right = (logits.argmax(dim=-1) == rows) & said
        return Losses(
            total=total,
            full=each.mean(),
            onset=(each * share).sum() / b,
            per_codebook=each.mean(dim=(0, 1)),
            accuracy=right.sum(dim=(0, 1)) / said.sum(dim=(0, 1)).clamp(min=1),
        )
