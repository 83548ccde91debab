"""The paper's two cross entropies over the one-shot, computed as one weighted sum.

full:  the mean over all (codebook, step) positions of the one-shot: empty ones, start and end included.
onset: the mean over the positions of the attack (`onset_mask`), times a weight: the paper's onset loss.
"""

import dataclasses
from typing import Any, Literal, NamedTuple

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
    accuracy: Tensor  # [K], over positions that hold a code


class TrainingLoss(NamedTuple):
    """A named tuple, which DDP looks into for the tensors that carry gradients: `total` alone does."""

    total: Tensor  # full + weight x onset, in nats per token
    full: Tensor
    onset: Tensor


def onset_mask(steps: int, codebooks: int, region: Region, pattern: Pattern = "delay") -> Tensor:
    """Boolean [S, K]: the positions of a one-shot that the onset loss averages over.

    "paper": t + k <= K + 1 for frame t and codebook k, both counted from 1: a triangle of the first K delayed
    steps, K frames of the first codebook and one of the last. "code": the first K + 1 steps, all codebooks,
    start step and empty positions included, as in the authors' training code.
    """
    step, k = torch.arange(steps)[:, None], torch.arange(codebooks)
    if region == "code":
        return (step <= codebooks).expand(steps, codebooks)
    # Step 0 is the start; the delay pattern puts codebook k of frame t at step 1 + t + k.
    frame = step - 1 - (k if pattern == "delay" else 0)  # from 0
    return (frame >= 0) & ((frame + 1) + (k + 1) <= codebooks + 1)


def losses(logits: Tensor, tokens: Tensor, mask: Tensor, onset_weight: float) -> Losses:
    """logits [B, S, K, V] against the reference tokens [B, S, K]; `mask` [S, K] from `onset_mask`."""
    b, s, k, v = logits.shape
    ce = F.cross_entropy(logits.reshape(-1, v).float(), tokens.reshape(-1), reduction="none").view(b, s, k)
    onset_share = mask.to(ce) / mask.sum()
    total = (ce * position_weights(mask, onset_weight)).sum() / b
    with torch.no_grad():
        holds_code = tokens > 0
        correct = (logits.argmax(dim=-1) == tokens) & holds_code
        return Losses(
            total=total,
            full=ce.mean(),
            onset=(ce * onset_share).sum() / b,
            per_codebook=ce.mean(dim=(0, 1)),
            accuracy=correct.sum(dim=(0, 1)) / holds_code.sum(dim=(0, 1)).clamp(min=1),
        )


def position_weights(mask: Tensor, onset_weight: float) -> Tensor:
    """[S, K]: the weight of each position in the total, 1 / (S K) + onset weight / size of the mask on it."""
    return 1 / mask.numel() + onset_weight * mask.float() / mask.sum()


def training_loss(
    hidden: Tensor, head: nn.Linear, tokens: Tensor, mask: Tensor, onset_weight: float
) -> TrainingLoss:
    """Total, full and onset of `losses(head(hidden), ...)`, in less time and memory.

    hidden [B, S, d], the head's weight [K * V, d], tokens [B, S, K], mask [S, K]. Within an autocast region
    the products are in its type.
    """
    b, s, k = tokens.shape
    weights = position_weights(mask, onset_weight).expand(b, -1, -1).reshape(b * s, k) / b
    on = hidden.device.type
    number_format = torch.get_autocast_dtype(on) if torch.is_autocast_enabled(on) else torch.float32
    onset_share = (mask.float() / mask.sum()).expand(b, -1, -1).reshape(b * s, k) / b
    total, parts = HeadLoss.apply(
        hidden.reshape(b * s, -1), head.weight, head.bias, tokens.reshape(b * s, k), weights, onset_share,
        number_format,
    )  # fmt: skip
    return TrainingLoss(total, *parts)


class HeadLoss(torch.autograd.Function):
    """The head and the weighted sum of cross entropies over its outputs, in float32 for products of any type.

    The logits are never in memory as a whole: a chunk of them is computed, turned into its gradient while it
    is in the cache, multiplied with the head's weights and the hidden states, and discarded. At K * V = 9,225
    outputs per step they would be the largest tensor of training by far, written and read five times.
    """

    CHUNK = 128  # time steps at once on a CPU: 4.7 MB of float32 logits at the authors' size

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        weights: Tensor,
        onset_share: Tensor,
        number_format: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        """The total, and [2]: full and onset loss, without gradients.

        hidden [N, d] of N = B * S steps, weight [K * V, d], bias [K * V]; target, the positions' weights in
        the total and in the onset loss [N, K].
        """
        k = target.shape[1]
        w, b = weight.to(number_format), bias.to(number_format)
        total, parts = torch.zeros((), device=hidden.device), torch.zeros(2, device=hidden.device)
        d_hidden = torch.empty_like(hidden)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        size = HeadLoss.CHUNK if hidden.device.type == "cpu" else len(hidden)
        chunks = (x.split(size) for x in (hidden, d_hidden, target, weights, onset_share))
        for h, d_h, token, position_weight, share in zip(*chunks, strict=True):
            # 1. Logits of n steps, and their weighted cross entropy.
            h, token, position_weight = (
                h.to(number_format),
                token.reshape(-1, 1),
                position_weight.reshape(-1, 1),
            )
            logits = product(h, w, b).view(len(h) * k, -1)  # [n * K, V]
            log_p = torch.log_softmax(logits, 1, dtype=torch.float32)
            log_likelihood = log_p.gather(1, token)[:, 0]
            total -= log_likelihood @ position_weight[:, 0]
            parts[0] -= log_likelihood.sum() / target.numel()
            parts[1] -= log_likelihood @ share.flatten()
            # 2. Their gradient in place: d total / d logits = weight * (p - 1 at the reference token).
            gradient = log_p.exp_().mul_(position_weight).scatter_add_(1, token, -position_weight)
            gradient = gradient.to(number_format).view(len(h), -1)  # [n, K * V]
            # 3. The gradients of hidden states, weight and bias.
            d_h.copy_(gradient @ w)
            d_weight.addmm_(gradient.t(), h) if number_format == torch.float32 else d_weight.add_(
                gradient.t() @ h
            )
            d_bias += gradient.sum(0, dtype=torch.float32)
        ctx.save_for_backward(d_hidden, d_weight, d_bias)
        ctx.mark_non_differentiable(parts)
        return total, parts

    @staticmethod
    def backward(ctx: Any, outer: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        return *(gradient * outer for gradient in ctx.saved_tensors), None, None, None, None
