"""Causal attention over rows of which only the last may be asked for."""

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 192  # queries at a time: their scores stay in the processor's cache


def causal(q: Tensor, k: Tensor, v: Tensor, last: int) -> Tensor:
    """q, k, v [B, H, S, head size] to the `last` rows' [B, H, last, head size].

    bfloat16 on a CPU goes piece by piece, which costs half of what torch's own kernel does forward and
    backward, and nothing for rows that are not asked for. Everything else is torch's own kernel.
    """
    s = q.shape[2]
    if q.is_cuda or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)[:, :, s - last :]
    q, k, v = q[:, :, s - last :] * q.shape[3] ** -0.5, k.contiguous(), v.contiguous()
    out: list[Tensor] = []
    for piece in q.split(PIECE, dim=2):
        first = s - last + PIECE * len(out)
        seen = first + piece.shape[2]
        scores = piece @ k[:, :, :seen].transpose(2, 3)
        future = torch.ones(piece.shape[2], seen, dtype=torch.bool).triu(first + 1)
        out.append(scores.masked_fill(future, -torch.inf).softmax(dim=-1) @ v[:, :, :seen])
    return torch.cat(out, dim=2)
