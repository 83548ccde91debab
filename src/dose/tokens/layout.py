"""Where everything lies in the model's sequence, as the authors' code has it.

Mix:      T + K - 1 rows in delay pattern, no start row (345 frames: 353 rows).
One-shot: row 0 all empty (start), codebook k of frame t in row 1 + k + t, and a last row all empty (end), so
          L frames take L + K + 1 rows and the first empty row after the start is row L + K (173 frames: 183).
The parallel pattern (an ablation) has no shift: T rows for the mix and L + 2 for the one-shot.
"""

from typing import Literal

import torch
from torch import Tensor

from dose.tokens.delay import EMPTY, delay, undelay

Pattern = Literal["delay", "parallel"]


def mix_steps(codes: Tensor, pattern: Pattern = "delay", excerpts: int = 1) -> Tensor:
    """Prompt codes [B, K, T] as token rows [B, S, K].

    With several `excerpts` of equal length laid end to end in T, each is delayed by itself, so that the rows
    of one never mix with those of the next and its start shows. Raises ValueError when T does not divide.
    """
    b, k, t = codes.shape
    if t % excerpts:
        raise ValueError(f"{t} prompt frames cannot be {excerpts} excerpts of equal length")
    if pattern == "parallel":
        return codes.transpose(1, 2).long() + 1
    each = codes.reshape(b, k, excerpts, t // excerpts).transpose(1, 2).reshape(b * excerpts, k, -1)
    return delay(each).reshape(b, -1, k)


def one_shot_steps(codes: Tensor, pattern: Pattern = "delay") -> Tensor:
    """One-shot codes [B, K, L] as token rows with start and end row: [B, L + K + 1, K] (delay)."""
    inner = delay(codes) if pattern == "delay" else codes.transpose(1, 2).long() + 1
    empty = inner.new_full((inner.shape[0], 1, inner.shape[2]), EMPTY)
    return torch.cat([empty, inner, empty], dim=1)


def one_shot_length(frames: int, codebooks: int, pattern: Pattern = "delay") -> int:
    """Rows that a one-shot of `frames` takes, start and end row included."""
    return frames + 2 + (codebooks - 1 if pattern == "delay" else 0)


def stop_step(rows: Tensor) -> int:
    """Index of the first all-empty row after row 0 of rows [S, K]; S when there is none."""
    empty = (rows[1:] == EMPTY).all(dim=1).nonzero()
    return int(empty[0]) + 1 if len(empty) else rows.shape[0]


def one_shot_codes(rows: Tensor, pattern: Pattern = "delay") -> Tensor:
    """The codes [K, L] that generated rows [S, K] (start row included) say before their stop row.

    A cell that the model left empty inside the one-shot takes the code before it in its codebook (0 at the
    start), so that a slip costs one frame instead of the whole sound. An immediate stop gives L = 0.
    """
    k = rows.shape[1]
    inner = rows[1 : stop_step(rows)]
    if pattern == "parallel":
        codes = inner.T - 1
    elif inner.shape[0] < k:
        return rows.new_zeros(k, 0)
    else:
        codes = undelay(inner[None])[0]
    return _fill(codes)


def _fill(codes: Tensor) -> Tensor:
    """Replaces each -1 by the code before it, 0 where there is none."""
    positions = torch.arange(codes.shape[1], device=codes.device).expand_as(codes)
    last_said = torch.where(codes >= 0, positions, -1).cummax(dim=1).values
    return torch.where(last_said >= 0, codes.gather(1, last_said.clamp(min=0)), 0)


def occupied(frames: int, codebooks: int, pattern: Pattern = "delay") -> Tensor:
    """Boolean [S, K]: which cells of a one-shot's rows hold a code (the others are empty)."""
    codes = torch.zeros(1, codebooks, frames, dtype=torch.long)
    return one_shot_steps(codes, pattern)[0] != EMPTY
