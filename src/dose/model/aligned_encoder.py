"""Conditioning on codec tokens of segments that start where the one-shot starts, without attention to them.

The features are added to the one-shot's input embeddings, so the model need not learn where in the prompt the
step in question sounds.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model.config import ModelConfig
from dose.tokens import layout


class AlignedCodeEncoder(nn.Module):
    """Adds two views of the segments where step s + 1 of the one-shot is predicted.

    One is step s of the segments' own delay pattern: the very (codebook, step) positions to be predicted, as
    they are in the mix. The other is a convolution over the undelayed frames around s, which covers all
    codebooks of each frame. The mean over the segments is taken after a nonlinearity, so that what they have
    in common can count for more than what only one of them has.
    """

    CONTEXT = 2  # frames that the convolution covers on either side; a default without a study

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.embed = nn.Embedding(config.codebooks * config.vocabulary, d)
        self.step_projection = nn.Linear(d, d)
        self.frame_conv = nn.Conv1d(d, d, 2 * self.CONTEXT + 1, padding=self.CONTEXT)
        self.frame_projection = nn.Linear(d, d)
        self.summary = nn.Linear(d, d)

    def forward(self, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Prompt codes [B, K, P] to the features added where each of the S steps is predicted [B, S, d], and
        to a summary of the prompt [B, 1, d]."""
        c = self.config
        b, k, p = prompt.shape
        # [B, K, segments * T] -> [B * segments, K, T]
        codes = prompt.view(b, k, c.segments, p // c.segments).transpose(1, 2).flatten(0, 1)
        # View 1: delayed tokens [B * segments, T + K - 1, K] -> [B, T + K - 1, d].
        steps = self._segment_mean(embed(layout.mix_steps(codes, c.pattern), self.embed.weight))
        # View 2: undelayed tokens [B * segments, T, K] -> [B * segments, d, T] -> [B, T, d].
        frames = embed(codes.transpose(1, 2) + 1, self.embed.weight).transpose(1, 2)
        frames = self._segment_mean(F.gelu(self.frame_conv(frames)).transpose(1, 2))
        # Their sum is [B, T + K - 1, d]; past the segments' last frame only the first view adds to it.
        past = steps.shape[1] - frames.shape[1]
        features = self.step_projection(steps) + F.pad(self.frame_projection(frames), (0, 0, 0, past))
        # Fit to the one-shot: the start step gets nothing, nor what lies past the segments' end. [B, S, d]
        features = features[:, : c.steps - 1]
        features = F.pad(features, (0, 0, 1, c.steps - 1 - features.shape[1]))
        return features, self.summary(frames.mean(dim=1, keepdim=True))

    def _segment_mean(self, x: Tensor) -> Tensor:
        """[B * segments, S, d] to the mean over the segments [B, S, d]."""
        return x.view(-1, self.config.segments, *x.shape[1:]).mean(dim=1)


def embed(tokens: Tensor, table: Tensor, twice: bool = False) -> Tensor:
    """Tokens [B, S, K] to [B, S, d]: the sum of one embedding per codebook, from a table [K * V, d].

    `twice` counts codebook 0 twice, as the authors' model does.
    """
    b, s, k = tokens.shape
    # All codebooks share one table: codebook k's tokens begin at index k * V.
    index = tokens + torch.arange(k, device=tokens.device) * (table.shape[0] // k)
    if twice:
        index = torch.cat([index[..., :1], index], dim=-1)
    return F.embedding_bag(index.flatten(0, 1), table, mode="sum").view(b, s, table.shape[1])
