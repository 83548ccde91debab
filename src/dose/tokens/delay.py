"""The delay pattern: codebook k is told k steps later than codebook 0.

A residual quantiser's codebook k refines what codebooks below k said, so within one step a model that says
all K tokens at once would have to guess the refinement without the rough value. Shifting codebook k right by
k steps lets it see them (MusicGen, arXiv 2306.05284). T frames take S = T + K - 1 steps. Token 0 fills the
empty cells and code c becomes token c + 1.
"""

import torch
from torch import Tensor

EMPTY = 0


def delay(codes: Tensor) -> Tensor:
    """Codes [B, K, T] (0 <= code) as token rows [B, S, K], S = T + K - 1, int64; empty cells are 0."""
    b, k, t = codes.shape
    wide = torch.zeros(b, k, t + k, dtype=torch.long, device=codes.device)
    wide[:, :, :t] = codes
    wide[:, :, :t] += 1
    # Reading rows of length T + K with a stride one shorter moves row k right by k: the skew is one view.
    return wide.flatten(1)[:, :-k].view(b, k, t + k - 1).transpose(1, 2)


def undelay(rows: Tensor) -> Tensor:
    """Inverse of `delay`: token rows [B, S, K] to codes [B, K, T], T = S - K + 1.

    A cell that should hold a code but holds the empty token comes back as -1, so that it cannot be taken for
    code 0. Raises ValueError when there are fewer than K rows.
    """
    b, s, k = rows.shape
    t = s - k + 1
    if t < 1:
        raise ValueError(f"{s} delayed rows hold no frame of {k} codebooks")
    flat = rows.transpose(1, 2).flatten(1)
    wide = torch.cat([flat, flat.new_zeros(b, k)], dim=1).view(b, k, t + k)
    return wide[:, :, :t] - 1
