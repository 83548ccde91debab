"""The decoder-only transformer of the paper, with switches for what this project changes (`ModelConfig`).

Kept from the authors' code although unusual: the embedding of codebook 0 counts twice, and by default no
positional encoding is applied (a causal model can infer positions: arXiv 2203.16634). Changed without any
effect on the outputs: query, key and value are one matrix, all embeddings are one table, and the last block
and the head run only on the steps that predict the one-shot.

Axes: B batch, K codebooks, V vocabulary, P prompt frames, S time steps of the one-shot, d width, H heads.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model import attention
from dose.model.aligned_encoder import AlignedCodeEncoder, embed
from dose.model.condition_encoder import ConditionEncoder
from dose.model.config import ModelConfig
from dose.model.dropout import dropout
from dose.model.linear import Linear
from dose.model.rotary import rotate, rotations
from dose.tokens import layout

INIT_STD = 0.02  # of all weights, GPT-2's


class Block(nn.Module):
    """Pre-norm attention and feed-forward, biases everywhere."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        self.heads = config.heads
        self.dropout = config.dropout
        self.ln1 = nn.LayerNorm(d)
        self.qkv = Linear(d, 3 * d)
        self.proj = Linear(d, d)
        self.ln2 = nn.LayerNorm(d)
        self.up = Linear(d, 4 * d)
        self.down = Linear(4 * d, d)

    def forward(self, x: Tensor, rotation: Tensor | None, mask: Tensor | None, last: int) -> Tensor:
        """x [B, S, d] to [B, last, d]: all steps are attended to, only the `last` ones computed further."""
        b, s, d = x.shape
        # [B, S, 3 * d] -> [3, B, H, S, head size]
        qkv = self.qkv(self.ln1(x)).view(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if mask is None:
            y = attention.causal(q, k, v, last)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[:, :, s - last :]
        y = y.transpose(1, 2).reshape(b, last, d)  # heads side by side again
        x = x[:, s - last :] + dropout(self.proj(y), self.dropout, self.training)
        ff = self.down(F.gelu(self.up(self.ln2(x))))
        return x + dropout(ff, self.dropout, self.training)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """An encoded prompt, as the transformer's input."""

    prefix: Tensor  # [B, steps, d], before the one-shot's steps
    features: Tensor | None  # [B, S, d], added where each step of the one-shot is predicted
    spectrogram: Tensor | None = None  # [B, BANDS, frames] expected of the one-shot, power-law compressed


class DoseModel(nn.Module):
    """Predicts a one-shot's tokens, step by step, conditioned on a prompt."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, v, k = config.width, config.vocabulary, config.codebooks
        # The order of registration is the order of random initialisation: seeded runs depend on it.
        self.embed = nn.Embedding(k * v, d)
        # Added to every step of the prefix, so that it differs from the one-shot's at the same position.
        self.prefix_embedding = nn.Parameter(torch.zeros(d)) if config.conditioning != "prefix" else None
        self.aligned_encoder = (
            AlignedCodeEncoder(config) if config.conditioning in ("prefix_aligned", "aligned") else None
        )
        self.condition_encoder = (
            ConditionEncoder(d, config.segments, config.frames, config.dropout)
            if config.conditioning == "band_energies"
            else None
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, k * v)
        self._initialise()

    def _initialise(self) -> None:
        """Small normal weights, residual outputs scaled by depth (GPT-2): deep models train stably."""
        for name, p in self.named_parameters():
            # The condition encoder is shallow: it keeps torch's own initialisation.
            if p.ndim < 2 or name.startswith("condition_encoder."):
                continue
            scale = INIT_STD
            if name.endswith(("proj.weight", "down.weight")):
                scale /= math.sqrt(2 * self.config.layers)
            nn.init.normal_(p, std=scale)
        for m in self.modules():
            if isinstance(m, nn.Linear | nn.Conv1d) and m.bias is not None:
                nn.init.zeros_(m.bias)

    @torch.no_grad()
    def initialise_from_codebooks(self, codebooks: Tensor, seed: int = 0) -> None:
        """Starts embeddings and head from the codec's codebooks [K, N, D], zero-padded in D.

        Codes with similar vectors get similar embeddings and similar logits, by one random projection per
        codebook, so that the codec's geometry need not be learnt from tokens alone. Half of the variance
        stays random, which keeps every code apart from its neighbours. The empty token is left as it is.
        The aligned encoder's embedding and the head share their projections, and the path between them
        starts as an identity: such a model starts with a bias towards the segments' own codes.
        """
        generator = torch.Generator().manual_seed(seed)
        # Zero mean and unit variance per codebook.
        centred = codebooks - codebooks.mean(dim=1, keepdim=True)
        centred = centred / centred.square().sum(dim=2).mean(dim=1).sqrt()[:, None, None].clamp(min=1e-9)
        outputs = [self.head.weight]
        if self.aligned_encoder is not None:
            outputs.append(self.aligned_encoder.embed.weight)
        for tables in ([self.embed.weight], outputs):
            for k, vectors in enumerate(centred):
                # [N, D] @ [D, d], one projection for all tables of the group
                projected = vectors @ torch.randn(vectors.shape[1], self.config.width, generator=generator)
                for table in tables:
                    book = table.view(self.config.codebooks, self.config.vocabulary, -1)[k]
                    book[1:] = (book[1:] + book.std() * projected.to(book)) / math.sqrt(2)
        if self.aligned_encoder is not None:
            nn.init.eye_(self.aligned_encoder.step_projection.weight)

    def embed_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens [B, S, K] to [B, S, d]: the sum of one embedding per codebook, codebook 0 twice."""
        return embed(tokens, self.embed.weight, twice=True)

    def encode_prompt(self, prompt: Tensor) -> Prompt:
        """A prompt's codes [B, K, P], or quantised band energies [B, FEATURES, P], as input."""
        c = self.config
        features = summary = spectrogram = None
        if self.aligned_encoder is not None:
            features, summary = self.aligned_encoder(prompt)
        elif self.condition_encoder is not None:
            encoded = self.condition_encoder(prompt)
            summary, spectrogram = encoded.summary, encoded.spectrogram
            # [B, frames, d] -> [B, S, d]: frame t is added where step t + 1 is predicted, which holds
            # codebook 0 of frame t.
            features = F.pad(encoded.features, (0, 0, 1, c.steps - 1 - c.frames))
        if c.prompt_in_sequence:
            prefix = self.embed_tokens(layout.mix_steps(prompt, c.pattern, c.segments))
        else:
            assert summary is not None  # every other kind of conditioning has one
            prefix = summary
        if self.prefix_embedding is not None:
            prefix = prefix + self.prefix_embedding
        return Prompt(prefix=prefix, features=features, spectrogram=spectrogram)

    def positions(self, prefix: int, steps: int) -> Tensor:
        """The position of each of `prefix` and one-shot steps.

        Segments and the one-shot each begin at 0, so that a step of the one-shot has the position of the
        segments' steps that sound at the same time.
        """
        if self.config.conditioning == "prefix":
            return torch.arange(prefix + steps, device=self.head.weight.device)
        segments = self.config.segments if self.config.prompt_in_sequence else 1
        of_segments = torch.arange(prefix // segments).repeat(segments)
        return torch.cat([of_segments, torch.arange(steps)]).to(self.head.weight.device)

    def forward(self, prompt: Tensor, shot: Tensor, last: int | None = None) -> Tensor:
        """Teacher forcing: a prompt [B, K, P] and one-shot tokens [B, S - 1, K] to logits [B, last, K, V].

        The default `last` = S gives the logits of the one-shot's S steps: the start step is predicted from
        the prompt's last step, as in the authors' code. A larger `last` also gives those of prompt steps.
        """
        return self.logits(self.hidden(prompt, shot, last)[0])

    def hidden(self, prompt: Tensor, shot: Tensor, last: int | None = None) -> tuple[Tensor, Tensor | None]:
        """As `forward` up to the head: final states [B, last, d]; with the expected spectrogram."""
        encoded, steps = self.encode_prompt(prompt), shot.shape[1] + 1
        x = torch.cat([encoded.prefix, self.embed_tokens(shot)], dim=1)  # [B, prefix + S - 1, d]
        if encoded.features is not None:
            # The last S inputs predict the one-shot's S steps: the prefix's last step predicts step 0.
            x = torch.cat([x[:, :-steps], x[:, -steps:] + encoded.features[:, :steps]], dim=1)
        return self.trunk(x, encoded.prefix.shape[1], last or steps), encoded.spectrogram

    def trunk(self, x: Tensor, prefix: int, last: int) -> Tensor:
        """Embedded steps [B, S, d], the first `prefix` of them the prompt, to the `last` final states."""
        s = x.shape[1]
        x = dropout(x, self.config.dropout, self.training)
        rotation = (
            rotations(self.positions(prefix, s - prefix), self.config.head_size) if self.rotary else None
        )
        mask = self.mask(s, prefix, x.device)
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, mask, last if i == len(self.blocks) - 1 else s)
        y: Tensor = self.ln(x)
        return y

    def logits(self, hidden: Tensor) -> Tensor:
        """Final states [B, S, d] to [B, S, K, V]."""
        flat: Tensor = self.head(hidden)
        return flat.view(*hidden.shape[:2], self.config.codebooks, self.config.vocabulary)

    @property
    def rotary(self) -> bool:
        return self.config.positions == "rotary"

    def mask(self, s: int, prefix: int, device: torch.device) -> Tensor | None:
        """Boolean [S, S] of who attends to whom. None means plain causal, which needs no mask in memory."""
        if self.config.prefix == "causal":
            return None
        mask = torch.ones(s, s, dtype=torch.bool, device=device).tril()
        mask[:prefix, :prefix] = True  # every step of the prompt attends to the whole prompt
        return mask


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
