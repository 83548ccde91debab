"""The token sequence of mixes and one-shots, with start and end steps, as in the authors' code.

Mix:      T + K - 1 steps in delay pattern, no start step (345 frames: 353 steps).
One-shot: step 0 all empty (start), codebook k of frame t in step 1 + k + t, and a last step all empty (end):
          L frames take L + K + 1 steps, the end is step L + K (173 frames: 183 steps).
The parallel pattern (an ablation) has no shift: T steps for the mix and L + 2 for the one-shot.
"""

from typing import Literal

import torch
from torch import Tensor

from dose.tokens.delay import EMPTY, delay, undelay

Pattern = Literal["delay", "parallel"]


def mix_steps(codes: Tensor, pattern: Pattern = "delay", segments: int = 1) -> Tensor:
    """Prompt codes [B, K, T] to tokens [B, S, K].

    T may hold several `segments` of equal length, one after the other. Each is delayed alone, so that no step
    mixes two segments and each has its own start. Raises ValueError when T does not divide.
    """
    b, k, t = codes.shape
    if t % segments:
        raise ValueError(f"{t} prompt frames cannot be {segments} segments of equal length")
    if pattern == "parallel":
        return codes.transpose(1, 2).long() + 1
    # [B, K, T] -> [B * segments, K, T / segments]: segments as batch items; afterwards joined along steps.
    each = codes.reshape(b, k, segments, t // segments).transpose(1, 2).reshape(b * segments, k, -1)
    return delay(each).reshape(b, -1, k)


def one_shot_steps(codes: Tensor, pattern: Pattern = "delay") -> Tensor:
    """One-shot codes [B, K, L] to tokens with start and end step: [B, L + K + 1, K] (delay)."""
    inner = delay(codes) if pattern == "delay" else codes.transpose(1, 2).long() + 1
    empty = inner.new_full((inner.shape[0], 1, inner.shape[2]), EMPTY)
    return torch.cat([empty, inner, empty], dim=1)


def one_shot_length(frames: int, codebooks: int, pattern: Pattern = "delay") -> int:
    """Steps of a one-shot of `frames`, start and end step included."""
    return frames + 2 + (codebooks - 1 if pattern == "delay" else 0)


def stop_step(tokens: Tensor) -> int:
    """Index of the first all-empty step after step 0 of tokens [S, K]; S when there is none."""
    empty = (tokens[1:] == EMPTY).all(dim=1).nonzero()
    return int(empty[0]) + 1 if len(empty) else tokens.shape[0]


def one_shot_codes(tokens: Tensor, pattern: Pattern = "delay") -> Tensor:
    """Codes [K, L] of generated tokens [S, K] (start step included), up to their stop step.

    A position inside the one-shot that holds the empty token repeats the code before it in its codebook (0 at
    the start), so that one wrong token costs one frame and not the sound. An immediate stop gives L = 0.
    """
    k = tokens.shape[1]
    # Without start step, end step and whatever follows it.
    inner = tokens[1 : stop_step(tokens)]
    if pattern == "parallel":
        codes = inner.T - 1
    elif inner.shape[0] < k:
        return tokens.new_zeros(k, 0)
    else:
        codes = undelay(inner[None])[0]
    return _forward_fill(codes)


def _forward_fill(codes: Tensor) -> Tensor:
    """Codes [K, L] with each -1 replaced by the code before it, 0 where there is none."""
    # The running maximum of the positions that hold a code is the last such position, per codebook.
    positions = torch.arange(codes.shape[1], device=codes.device).expand_as(codes)
    last_valid = torch.where(codes >= 0, positions, -1).cummax(dim=1).values
    return torch.where(last_valid >= 0, codes.gather(1, last_valid.clamp(min=0)), 0)


def occupied(frames: int, codebooks: int, pattern: Pattern = "delay") -> Tensor:
    """Boolean [S, K]: the positions of a one-shot's tokens that hold a code; the others are empty."""
    codes = torch.zeros(1, codebooks, frames, dtype=torch.long)
    return one_shot_steps(codes, pattern)[0] != EMPTY
