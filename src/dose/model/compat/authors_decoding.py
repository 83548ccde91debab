"""The authors' decoding and training loss, restated for the benchmarks on the same weights.

It computes what the original computes (no cache, the whole sequence again for every step, a head over every
step, all pairs of steps scored and half of them masked), by the same library calls.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.model.transformer import Block, DoseModel


def forward(model: DoseModel, tokens: Tensor) -> Tensor:
    """Tokens [B, S, K] of mix and one-shot to the logits of every step, [B, S, K * V]."""
    k, v = model.config.codebooks, model.config.vocabulary
    x = torch.zeros(())
    for i in range(k):
        each = F.embedding(tokens[:, :, i] + i * v, model.embed.weight)
        x = 2 * each if i == 0 else x + each  # the authors' code adds codebook 0 twice
    x = F.dropout(x, model.config.dropout, model.training)
    for block in model.blocks:
        x = _block(block, x)  # type: ignore[arg-type]
    logits: Tensor = model.head(model.ln(x))
    return logits


def _block(block: Block, x: Tensor) -> Tensor:
    b, s, d = x.shape
    h = block.ln1(x)
    query, key, value = (
        F.linear(h, w, bias).reshape(b, s, block.heads, -1).transpose(1, 2)
        for w, bias in zip(block.qkv.weight.chunk(3), block.qkv.bias.chunk(3), strict=True)
    )
    scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
    past = torch.ones(s, s, dtype=torch.bool, device=x.device).tril()
    y = scores.masked_fill(~past, -torch.inf).softmax(dim=-1) @ value
    y = block.proj(y.transpose(1, 2).reshape(b, s, d))
    x = x + F.dropout(y, block.dropout, block.training)
    y = block.down(F.gelu(block.up(block.ln2(x))))
    return x + F.dropout(y, block.dropout, block.training)


@torch.inference_mode()
def next_step(model: DoseModel, tokens: Tensor) -> Tensor:
    """One step of generation: tokens [B, S, K] so far to the next [B, K], codebook by codebook."""
    logits = forward(model, tokens)[:, -1]
    v = model.config.vocabulary
    return torch.stack([logits[:, i * v : (i + 1) * v].argmax(-1) for i in range(model.config.codebooks)], 1)


def training_loss(model: DoseModel, mix: Tensor, shot: Tensor) -> Tensor:
    """Tokens of the mix [B, 353, K] and of the one-shot [B, 183, K] to the sum of the two losses.

    The loss over the mix is computed too, as the authors do for their log, and carries no gradient.
    """
    b, m = mix.shape[:2]
    k, v = model.config.codebooks, model.config.vocabulary
    logits = forward(model, torch.cat([mix, shot[:, :-1]], dim=1)).view(b, -1, k, v).permute(0, 3, 1, 2)
    target = torch.cat([mix, shot], dim=1)[:, 1:]
    # Logits [B, V, S, K], targets [B, S, K]: over the mix, the one-shot's first K + 1 steps, the one-shot.
    F.cross_entropy(logits[:, :, : m - 1], target[:, : m - 1]).item()
    onset = F.cross_entropy(logits[:, :, m - 1 : m - 1 + k + 1], target[:, m - 1 : m - 1 + k + 1])
    return onset + F.cross_entropy(logits[:, :, m - 1 :], target[:, m - 1 :])
