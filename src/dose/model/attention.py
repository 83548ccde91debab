"""Causal attention over rows of which only the last may be asked for."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 96  # queries at a time: their scores stay in the cache (best of 64, 96, 128, 192, 256 at 535 rows)


def causal(q: Tensor, k: Tensor, v: Tensor, last: int) -> Tensor:
    """q, k, v [B, H, S, head size] to the `last` rows' [B, H, last, head size].

    A CPU goes piece by piece. Forward and backward together that costs less than torch's own kernel there,
    and rows that are not asked for cost nothing.
    """
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, :, q.shape[2] - last :]
    b, h, s, size = q.shape
    queries = q[:, :, s - last :] * size**-0.5
    flat = (x.reshape(b * h, -1, size) for x in (queries, k, v))
    y: Tensor = _Causal.apply(*flat)
    return y.view(b, h, last, size)


class _Causal(torch.autograd.Function):
    """Scaled queries [N, last, h], keys and values [N, S, h] of the same S rows' end to [N, last, h].

    The gradients of keys and values are summed in place, where autograd would make one of full length for
    each piece and add them up.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out, weights = torch.empty_like(q), []
        for here, seen in _pieces(q, k):
            n = here.stop - here.start
            scores = torch.bmm(q[:, here], k[:, :seen].transpose(1, 2))  # [N, n, seen]
            # Of the keys only the piece's own rows can lie in a query's future.
            scores[..., seen - n :] += torch.full((n, n), -torch.inf, dtype=q.dtype).triu(1)
            weights.append(scores.softmax(dim=-1))
            out[:, here] = torch.bmm(weights[-1], v[:, :seen])
        ctx.save_for_backward(q, k, v, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        q, k, v, *weights = ctx.saved_tensors
        d_q, d_k, d_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (here, seen), weight in zip(_pieces(q, k), weights, strict=True):
            d_v[:, :seen].baddbmm_(weight.transpose(1, 2), above[:, here])
            d_weight = torch.bmm(above[:, here], v[:, :seen].transpose(1, 2))
            d_scores = torch._softmax_backward_data(d_weight, weight, -1, weight.dtype)
            d_q[:, here] = torch.bmm(d_scores, k[:, :seen])
            d_k[:, :seen].baddbmm_(d_scores.transpose(1, 2), q[:, here])
        return d_q, d_k, d_v


def _pieces(q: Tensor, k: Tensor) -> list[tuple[slice, int]]:
    """Which queries are looked at together, and how many keys the last of them sees."""
    last, s = q.shape[1], k.shape[1]
    ends = [min(start + PIECE, last) for start in range(0, last, PIECE)]
    return [(slice(end - (end - 1) % PIECE - 1, end), s - last + end) for end in ends]
