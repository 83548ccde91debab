"""The transform of the compact codec: an MDCT of 512 coefficients whose windows overlap only a little.

A long overlap would smear a drum's attack over two frames before it is quantised. Here neighbouring frames
share `overlap` samples around each boundary, so a frame covers almost exactly its own 11.6 ms. The grid is
shifted left by half the overlap: the first boundary falls into the silence before sample 0, so a one-shot
that starts on its attack loses nothing. Where a hit begins, the boundary before it is hard (no overlap), so
that nothing of the hit leaks into the frame before.

The MDCT is computed as a fold (time-domain aliasing: rotations of sample pairs about each boundary) followed
by a DCT-IV; its inverse is the same DCT-IV followed by the inverse rotations (TDAC: Princen and Bradley,
1986; the fold as rotations: Malvar, "Signal Processing with Lapped Transforms", 1992). Vorbis and CELT have
such windows with a low overlap.

Everything is float64, so that rounding can never make the same sound give two different codes.
Axes: B batch, N samples, T frames.
"""

import math

import torch
from torch import Tensor

HOP = 512


def rotation(overlap: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine, float64 [overlap / 2], of the rotation for each pair of samples about a boundary.

    Pair n is the n-th sample on either side, from the boundary outwards. The cosine is the rising half of the
    Vorbis window, sin(pi/2 sin^2(...)), which is power complementary: cos^2 + sin^2 = 1 makes the fold
    orthogonal (Vorbis I specification, section 4.3.1).
    """
    half = overlap // 2
    n = torch.arange(half, dtype=torch.float64)
    rise = torch.sin(math.pi / 2 * torch.sin(math.pi / (2 * overlap) * (half + n + 0.5)) ** 2)
    return rise, torch.sqrt(1 - rise**2)


def frame_samples(audio: Tensor, overlap: int, start: int, stop: int) -> Tensor:
    """[B, N] to the samples under the windows of frames `start`..`stop`, zeros outside the sound.

    float64 [B, (stop - start) * HOP + overlap].
    """
    first, last = start * HOP - overlap, stop * HOP
    inside = audio[:, max(0, first) : last].double()
    return torch.nn.functional.pad(inside, (max(0, -first), max(0, last - audio.shape[-1])))


def between_boundaries(samples: Tensor, overlap: int) -> Tensor:
    """The samples between the boundaries, unfolded: [B, T * HOP + overlap] to [B, T, HOP]."""
    half = overlap // 2
    inside: Tensor = samples[:, half : samples.shape[1] - half]
    return inside.reshape(len(inside), -1, HOP)


def fold(samples: Tensor, overlap: int, hard: Tensor) -> Tensor:
    """Samples [B, T * HOP + overlap] to folded samples [B, T, HOP], whose DCT-IV is the MDCT of the sound.

    `hard` bool [B, T + 1] marks boundaries without overlap, which stay unfolded.
    """
    samples = samples.clone()
    _rotate(samples, overlap, hard, forward=True)
    return between_boundaries(samples, overlap)


def unfold(folded: Tensor, overlap: int, hard: Tensor) -> Tensor:
    """Inverse of `fold` over a whole sound: [B, T, HOP] to [B, T * HOP]; the last overlap / 2 are silent."""
    half, (batch, frames, _) = overlap // 2, folded.shape
    samples = torch.nn.functional.pad(folded.reshape(batch, frames * HOP), (half, half))
    _rotate(samples, overlap, hard, forward=False)
    return samples[:, overlap:]


def _rotate(samples: Tensor, overlap: int, hard: Tensor, forward: bool) -> None:
    """Rotates, in place, each pair of samples that lie equally far from a boundary that is not hard."""
    half = overlap // 2
    cos, sin = rotation(overlap)
    # At hard boundaries the rotation is the identity: [B, T + 1, half].
    cos = cos.where(~hard[..., None], torch.ones(()).double())
    sin = sin.where(~hard[..., None], torch.zeros(()).double()) * (1 if forward else -1)
    zones = samples.unfold(-1, overlap, HOP)  # a view [B, T + 1, overlap], one zone about each boundary
    before, after = zones[..., :half].flip(-1), zones[..., half:].clone()
    zones[..., :half] = (cos * before - sin * after).flip(-1)
    zones[..., half:] = sin * before + cos * after


def dct_iv() -> Tensor:
    """The orthonormal DCT-IV matrix, float64 [HOP, HOP]; it is symmetric and its own inverse."""
    n = torch.arange(HOP, dtype=torch.float64) + 0.5
    return math.sqrt(2 / HOP) * torch.cos(math.pi / HOP * n[:, None] * n)
