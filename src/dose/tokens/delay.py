"""The delay pattern (MusicGen, arXiv 2306.05284): codebook k is shifted right by k steps.

Codebook k of a residual quantiser refines codebooks below k. A model that predicts all K tokens of one frame
in one step cannot condition the refinement on the coarser codes; with the shift, codebook k of frame t is
predicted after codebooks below k of frame t. T frames take S = T + K - 1 steps. Code c becomes token c + 1,
and token 0 fills the positions that hold no code.
"""

import torch
from torch import Tensor

EMPTY = 0


def delay(codes: Tensor) -> Tensor:
    """Codes [B, K, T], at least 0, to tokens int64 [B, S, K], S = T + K - 1; empty positions are 0."""
    b, k, t = codes.shape
    wide = torch.zeros(b, k, t + k, dtype=torch.long, device=codes.device)
    wide[:, :, :t] = codes
    wide[:, :, :t] += 1
    # Read in lines one shorter than T + K, each line starts one position later than the one above it:
    # the shift by k is a view. [B, K, T + K] -> [B, K, T + K - 1] -> [B, S, K].
    return wide.flatten(1)[:, :-k].view(b, k, t + k - 1).transpose(1, 2)


def undelay(tokens: Tensor) -> Tensor:
    """Inverse of `delay`: tokens [B, S, K] to codes [B, K, T], T = S - K + 1.

    A position that should hold a code but holds the empty token becomes -1, so that it differs from code 0.
    Raises ValueError for fewer than K steps.
    """
    b, s, k = tokens.shape
    t = s - k + 1
    if t < 1:
        raise ValueError(f"{s} delayed steps hold no frame of {k} codebooks")
    # [B, S, K] -> [B, K * S], padded by K so that lines of length T + K undo the shift.
    flat = tokens.transpose(1, 2).flatten(1)
    wide = torch.cat([flat, flat.new_zeros(b, k)], dim=1).view(b, k, t + k)
    return wide[:, :, :t] - 1
