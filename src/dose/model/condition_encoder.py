"""How a model hears excerpts of a mix that are given as levels of bands: what of them is the drum?

The excerpts start where the drum is hit, so frame t of each holds the drum's frame t, and whatever else
sounds. Each is read by the same convolutions, which also see the least level of all excerpts and the mean of
what was made of the others; a softmax over the excerpts then picks, frame by frame, from those where the drum
stands free. From the result the listener says what it takes the one-shot to look like. Learning that is dense
and quick where learning codes is neither, and it is what candidates are held against.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model.dropout import dropout
from dose.tokens.band_energies import BANDS, FEATURES, MAX_LEVEL, PRE_ONSET_FRAMES


class Residual(nn.Module):
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
    """Levels int64 [B, FEATURES, excerpts x T] to what the model is told of the one-shot's frames."""

    def __init__(self, width: int, excerpts: int, frames: int, dropout: float) -> None:
        super().__init__()
        self.excerpts, self.frames, self.dropout = excerpts, frames, dropout
        self.first = nn.Conv1d(FEATURES + BANDS, width, 3, padding=1)
        self.others = nn.Linear(width, width)
        self.each = nn.Sequential(Residual(width, 5), Residual(width, 5))
        self.score = nn.Linear(width, 1)
        self.whole = nn.Linear(width, width)
        self.time = nn.Parameter(torch.zeros(frames, width))
        self.together = nn.Sequential(Residual(width, 5), Residual(width, 5), nn.LayerNorm(width))
        self.out = nn.Linear(width, width)
        self.look = nn.Linear(width, BANDS)

    def forward(self, prompt: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """For each frame of the one-shot what is heard [B, frames, d]; of all a summary [B, 1, d]; and the
        expected picture [B, BANDS, frames] in units of `levels.loudness`."""
        b, features, p = prompt.shape
        n, t = self.excerpts, p // self.excerpts
        x = (prompt.float() / MAX_LEVEL - 0.6).view(b, features, n, t)
        least = x[:, :BANDS].amin(dim=2, keepdim=True).expand(-1, -1, n, -1)
        x = torch.cat([x, least], dim=1).transpose(1, 2).flatten(0, 1)
        h = F.gelu(self.first(x)).transpose(1, 2)
        h = h + self.others(h.view(b, n, t, -1).mean(dim=1)).repeat_interleave(n, dim=0)
        h = self.each(h).view(b, n, t, -1)
        score = self.score(h) + self.score(h.mean(dim=2, keepdim=True))
        pooled = (h * score.float().softmax(dim=1).to(h)).sum(dim=1)
        summary = self.whole(pooled.mean(dim=1, keepdim=True))
        heard = pooled[:, PRE_ONSET_FRAMES : PRE_ONSET_FRAMES + self.frames]
        heard = F.pad(heard, (0, 0, 0, self.frames - heard.shape[1]))
        z = self.together(dropout(heard + summary + self.time, self.dropout, self.training))
        return self.out(z), summary, self.look(z).transpose(1, 2).float()


def spectrogram_loss(expected: Tensor, true: Tensor) -> Tensor:
    """Squared error of pictures [B, BANDS, T] in units of `levels.loudness`, as a part of the true square."""
    return (expected - true).square().sum() / true.square().sum()
