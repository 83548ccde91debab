"""The transform under the compact codec: MDCT frames of 512 samples whose windows overlap only a little.

A long overlap would smear a drum's attack over two frames before it is even quantised. Here neighbouring
frames share `overlap` samples around each boundary, so a frame holds almost exactly its own 11.6 ms. The
grid is shifted left by half the overlap: the first boundary falls into the silence before sample 0, so a
one-shot that starts on its attack loses nothing. Where a hit begins, the boundary before it is made hard: no
overlap at all, so nothing of the hit leaks to what came before. (Low-overlap windows: Vorbis, CELT; the fold
as rotations: Malvar, "Signal Processing with Lapped Transforms", 1992.)

Everything is float64, so that rounding can never make the same sound give two different codes.
"""

import math

import torch
from torch import Tensor

HOP = 512


def rotation(overlap: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, float64 [overlap / 2], of the rotation for each pair of samples about a boundary.

    Pair n is the n-th sample on either side, from the boundary outwards. The angles follow the Vorbis power
    complementary window.
    """
    half = overlap // 2
    n = torch.arange(half, dtype=torch.float64)
    rise = torch.sin(math.pi / 2 * torch.sin(math.pi / (2 * overlap) * (half + n + 0.5)) ** 2)
    return rise, torch.sqrt(1 - rise**2)


def pieces(audio: Tensor, overlap: int, start: int, stop: int) -> Tensor:
    """[B, N] to the samples that frames `start`..`stop` see, float64 [B, (stop - start) * HOP + overlap]."""
    first, last = start * HOP - overlap, stop * HOP
    inside = audio[:, max(0, first) : last].double()
    return torch.nn.functional.pad(inside, (max(0, -first), max(0, last - audio.shape[-1])))


def between(piece: Tensor, overlap: int) -> Tensor:
    """The samples between the boundaries, unfolded: [B, T, HOP] of a piece."""
    half = overlap // 2
    return piece[:, half : piece.shape[1] - half].unflatten(-1, (-1, HOP))


def fold(piece: Tensor, overlap: int, hard: Tensor) -> Tensor:
    """A piece to folded samples [B, T, HOP]; `hard` bool [B, T + 1] marks boundaries that stay unfolded.

    The transform of folded samples is the MDCT of the sound. At a hard boundary the window has no overlap.
    """
    piece = piece.clone()
    _rotate(piece, overlap, hard, forward=True)
    return between(piece, overlap)


def unfold(folded: Tensor, overlap: int, hard: Tensor) -> Tensor:
    """Inverse of `fold` over a whole sound: [B, T, HOP] to [B, T * HOP]; the last overlap / 2 are silent."""
    half, (batch, frames, _) = overlap // 2, folded.shape
    piece = torch.nn.functional.pad(folded.reshape(batch, frames * HOP), (half, half))
    _rotate(piece, overlap, hard, forward=False)
    return piece[:, overlap:]


def _rotate(piece: Tensor, overlap: int, hard: Tensor, forward: bool) -> None:
    """Turns, in place, each pair of samples that lie equally far from a boundary that is not hard."""
    half = overlap // 2
    cos, sin = rotation(overlap)
    cos = cos.where(~hard[..., None], torch.ones(()).double())
    sin = sin.where(~hard[..., None], torch.zeros(()).double()) * (1 if forward else -1)
    zones = piece.unfold(-1, overlap, HOP)
    before, after = zones[..., :half].flip(-1), zones[..., half:].clone()
    zones[..., :half] = (cos * before - sin * after).flip(-1)
    zones[..., half:] = sin * before + cos * after


def cosines() -> Tensor:
    """The orthonormal DCT-IV, float64 [HOP, HOP]; its own inverse."""
    n = torch.arange(HOP, dtype=torch.float64) + 0.5
    return math.sqrt(2 / HOP) * torch.cos(math.pi / HOP * n[:, None] * n)
