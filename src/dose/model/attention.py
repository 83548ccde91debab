"""Causal attention of which only the last steps' outputs may be needed."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Queries at a time, so that their scores stay in the CPU's cache; the fastest of 64, 96, 128, 192 and 256 at
# the authors' 535 steps.
CHUNK = 96


def causal(q: Tensor, k: Tensor, v: Tensor, last: int) -> Tensor:
    """q, k, v [B, H, S, head size] to the `last` steps' [B, H, last, head size].

    On a CPU in chunks of queries: forward and backward together that takes less time than torch's own
    kernel there, and steps that are not needed take none.
    """
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, :, q.shape[2] - last :]
    b, h, s, size = q.shape
    queries = q[:, :, s - last :] * size**-0.5
    flat = (x.reshape(b * h, -1, size) for x in (queries, k, v))  # [B * H, S, head size]
    y: Tensor = _ChunkedCausal.apply(*flat)
    return y.view(b, h, last, size)


class _ChunkedCausal(torch.autograd.Function):
    """Scaled queries [N, last, h] of the last of S steps, keys and values [N, S, h] to [N, last, h].

    The gradients of keys and values are accumulated in place; autograd would allocate one of full length
    per chunk and add them up.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out, weights = torch.empty_like(q), []
        for chunk, keys in _chunks(q, k):
            n = chunk.stop - chunk.start
            scores = torch.bmm(q[:, chunk], k[:, :keys].transpose(1, 2))  # [N, n, keys]
            # Mask the future: of these keys only the chunk's own n steps can lie in a query's future.
            scores[..., keys - n :] += torch.full((n, n), -torch.inf, dtype=q.dtype).triu(1)
            weights.append(scores.softmax(dim=-1))
            out[:, chunk] = torch.bmm(weights[-1], v[:, :keys])
        ctx.save_for_backward(q, k, v, *weights)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        q, k, v, *weights = ctx.saved_tensors
        d_q, d_k, d_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for (chunk, keys), weight in zip(_chunks(q, k), weights, strict=True):
            # y = weight @ v, weight = softmax(scores), scores = q @ k^T: the chain rule from the back.
            d_v[:, :keys].baddbmm_(weight.transpose(1, 2), gradient[:, chunk])
            d_weight = torch.bmm(gradient[:, chunk], v[:, :keys].transpose(1, 2))
            d_scores = torch._softmax_backward_data(d_weight, weight, -1, weight.dtype)
            d_q[:, chunk] = torch.bmm(d_scores, k[:, :keys])
            d_k[:, :keys].baddbmm_(d_scores.transpose(1, 2), q[:, chunk])
        return d_q, d_k, d_v


def _chunks(q: Tensor, k: Tensor) -> list[tuple[slice, int]]:
    """Each chunk of queries, and how many keys its last query attends to."""
    last, s = q.shape[1], k.shape[1]
    ends = [min(start + CHUNK, last) for start in range(0, last, CHUNK)]
    return [(slice(end - (end - 1) % CHUNK - 1, end), s - last + end) for end in ends]
