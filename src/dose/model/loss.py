"""The paper's two cross entropies over the one-shot, computed as one weighted sum.

full:  every cell of the one-shot's rows, empty cells, start and end row included, averaged.
onset: the cells of the attack, averaged, times a weight.
"""

import dataclasses
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model.linear import product
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


def training_loss(hidden: Tensor, head: nn.Linear, rows: Tensor, mask: Tensor, onset_weight: float) -> Tensor:
    """`losses(head(hidden), ...).total` and nothing else, in less time and memory.

    hidden [B, S, d], the head's weight [K * V, d], rows [B, S, K], mask [S, K]. Within an autocast region the
    products are in its type.
    """
    b, s, k = rows.shape
    weights = cell_weights(mask, onset_weight).expand(b, -1, -1).reshape(b * s, k) / b
    on = hidden.device.type
    number_format = torch.get_autocast_dtype(on) if torch.is_autocast_enabled(on) else torch.float32
    total: Tensor = HeadLoss.apply(
        hidden.reshape(b * s, -1), head.weight, head.bias, rows.reshape(b * s, k), weights, number_format
    )
    return total


class HeadLoss(torch.autograd.Function):
    """The head and the sum of weight x cross entropy over its cells, in float32 for products of any type.

    Logits are never all there: some rows of them are made, turned into their gradient while they are in the
    cache, multiplied with the head's weights and the hidden states, and forgotten. At K * V = 9,225 outputs a
    row they would else be the largest tensor of a step by far, written and read five times.
    """

    PIECE = 128  # rows at a time on a CPU: 4.7 MB of float32 logits

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        weights: Tensor,
        number_format: torch.dtype,
    ) -> Tensor:
        """hidden [R, d], weight [K * V, d], bias [K * V], target and weights [R, K]."""
        k = target.shape[1]
        w, b = weight.to(number_format), bias.to(number_format)
        total = torch.zeros((), device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        piece = HeadLoss.PIECE if hidden.device.type == "cpu" else len(hidden)
        parts = (x.split(piece) for x in (hidden, d_hidden, target, weights))
        for h, d_h, true, part in zip(*parts, strict=True):
            h, true, part = h.to(number_format), true.reshape(-1, 1), part.reshape(-1, 1)
            logits = product(h, w, b).view(len(h) * k, -1)  # [n * K, V]
            log_p = torch.log_softmax(logits, 1, dtype=torch.float32)
            total -= log_p.gather(1, true)[:, 0] @ part[:, 0]
            # d total / d logits = weight x (p - 1 at the true code)
            gradient = log_p.exp_().mul_(part).scatter_add_(1, true, -part)
            gradient = gradient.to(number_format).view(len(h), -1)  # [n, K * V]
            d_h.copy_(gradient @ w)
            d_weight.addmm_(gradient.t(), h) if number_format == torch.float32 else d_weight.add_(
                gradient.t() @ h
            )
            d_bias += gradient.sum(0, dtype=torch.float32)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        return total

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *(gradient * above for gradient in ctx.saved_tensors), None, None, None
