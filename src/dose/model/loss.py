"""The paper's two cross entropies over the one-shot, computed as one weighted sum.

full:  every cell of the one-shot's rows, empty cells, start and end row included, averaged.
onset: the cells of the attack, averaged, times a weight.
"""

import dataclasses
from typing import Any, Literal

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
    total = (each * cell_weights(mask, onset_weight)).sum() / b
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


def cell_weights(mask: Tensor, onset_weight: float) -> Tensor:
    """[S, K]: what each cell of one request counts in the total."""
    return 1 / mask.numel() + onset_weight * mask.float() / mask.sum()


def training_loss(logits: Tensor, rows: Tensor, mask: Tensor, onset_weight: float) -> Tensor:
    """`losses(...).total` and nothing else, for logits of any precision, in less time and memory."""
    b, *_, v = logits.shape
    weights = cell_weights(mask, onset_weight).expand(b, -1, -1).reshape(-1) / b
    total: Tensor = WeightedCrossEntropy.apply(logits.reshape(-1, v), rows.reshape(-1), weights)
    return total


class WeightedCrossEntropy(torch.autograd.Function):
    """Sum of weight x cross entropy over cells, in float32 for logits of any precision.

    The gradient is made with the loss, while a piece's probabilities are in the processor's cache, and kept
    in the logits' own precision: no float32 copy of all 9 x 1025 logits a row ever exists.
    """

    PIECE = 512  # cells at a time, 2 MB of float32

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
        """logits [cells, V], target and weights [cells]."""
        total = torch.zeros((), device=logits.device)
        gradient = torch.empty_like(logits)
        piece = WeightedCrossEntropy.PIECE if logits.device.type == "cpu" else len(logits)
        parts = zip(*(x.split(piece) for x in (logits, gradient, target, weights)), strict=True)
        for logit, grad, true, weight in parts:
            log_p = torch.log_softmax(logit, 1, dtype=torch.float32)
            total -= log_p.gather(1, true[:, None])[:, 0] @ weight
            p = log_p.exp_().mul_(weight[:, None])
            p.scatter_add_(1, true[:, None], -weight[:, None])
            grad.copy_(p)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        (gradient,) = ctx.saved_tensors
        return gradient * above, None, None
