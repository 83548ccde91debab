"""Conditioning on segments of a mix that are given as quantised band energies.

The segments start at the drum's onsets, so frame t of each holds the drum's frame t and whatever else sounds
then. The same convolutions encode each segment; their input includes the minimum over all segments, and their
output is mixed with the mean over all. A softmax over the segments then weighs them frame by frame, so that a
segment counts where the drum is unmasked. From the result a linear head predicts the one-shot's spectrogram:
a dense regression target, learnt in fewer steps than codec tokens (docs/model.md). Candidates are reranked
against this prediction.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model.dropout import dropout
from dose.tokens.band_energies import BANDS, FEATURES, MAX_LEVEL, PRE_ONSET_FRAMES

# Subtracted from energies scaled to 0..1, so that the input is about zero-mean; a default without a study.
CENTRE = 0.6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """What `ConditionEncoder` computes from a prompt."""

    features: Tensor  # [B, frames, d], for each of the one-shot's frames
    summary: Tensor  # [B, 1, d], of all of them
    spectrogram: Tensor  # [B, BANDS, frames] expected, compressed as by `band_energies.compress_power`


class ResidualConv(nn.Module):
    """[B, T, d] plus a convolution over its frames."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, kernel, padding=kernel // 2)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(F.gelu(self.conv(self.norm(x).transpose(1, 2)).transpose(1, 2)))
        return x + y


class ConditionEncoder(nn.Module):
    """Band energies int64 [B, FEATURES, segments * T] to conditioning features of the one-shot's frames."""

    def __init__(self, width: int, segments: int, frames: int, dropout: float) -> None:
        super().__init__()
        self.segments, self.frames, self.dropout = segments, frames, dropout
        # The order of registration is the order of random initialisation.
        self.input_conv = nn.Conv1d(FEATURES + BANDS, width, 3, padding=1)
        self.cross_segment = nn.Linear(width, width)
        self.segment_blocks = nn.Sequential(ResidualConv(width, 5), ResidualConv(width, 5))
        self.segment_score = nn.Linear(width, 1)
        self.summary = nn.Linear(width, width)
        self.time_embedding = nn.Parameter(torch.zeros(frames, width))
        self.fusion_blocks = nn.Sequential(
            ResidualConv(width, 5), ResidualConv(width, 5), nn.LayerNorm(width)
        )
        self.out = nn.Linear(width, width)
        self.spectrogram_head = nn.Linear(width, BANDS)

    def forward(self, prompt: Tensor) -> Encoded:
        b, channels, p = prompt.shape
        n, t = self.segments, p // self.segments
        # 1. Scale 0..MAX_LEVEL to about zero mean, and append each band's minimum over the segments: all hold
        #    the drum, so what exceeds the minimum is mostly other sounds. [B * n, FEATURES + BANDS, T]
        x = (prompt.float() / MAX_LEVEL - CENTRE).view(b, channels, n, t)
        minimum = x[:, :BANDS].amin(dim=2, keepdim=True).expand(-1, -1, n, -1)
        x = torch.cat([x, minimum], dim=1).transpose(1, 2).flatten(0, 1)
        # 2. Encode each segment, with the mean over all segments mixed in. [B, n, T, d]
        h = F.gelu(self.input_conv(x)).transpose(1, 2)
        h = h + self.cross_segment(h.view(b, n, t, -1).mean(dim=1)).repeat_interleave(n, dim=0)
        h = self.segment_blocks(h).view(b, n, t, -1)
        # 3. Weigh the segments frame by frame: a score per frame plus one per segment. [B, T, d]
        score = self.segment_score(h) + self.segment_score(h.mean(dim=2, keepdim=True))
        pooled = (h * score.float().softmax(dim=1).to(h)).sum(dim=1)
        summary = self.summary(pooled.mean(dim=1, keepdim=True))
        # 4. Drop the frames before the onset and fit to the one-shot's length. [B, frames, d]
        aligned = pooled[:, PRE_ONSET_FRAMES : PRE_ONSET_FRAMES + self.frames]
        aligned = F.pad(aligned, (0, 0, 0, self.frames - aligned.shape[1]))
        # 5. Fuse over time; the time embedding tells frames past the segments' end apart.
        z = self.fusion_blocks(dropout(aligned + summary + self.time_embedding, self.dropout, self.training))
        return Encoded(
            features=self.out(z),
            summary=summary,
            spectrogram=self.spectrogram_head(z).transpose(1, 2).float(),  # [B, BANDS, frames]
        )


def spectrogram_loss(expected: Tensor, reference: Tensor) -> Tensor:
    """Squared error of compressed spectrograms [B, BANDS, T], divided by the reference's sum of squares."""
    return (expected - reference).square().sum() / reference.square().sum()
