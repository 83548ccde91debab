"""The decoder-only transformer of the paper, to the letter, with switches for what one may want to change.

Departures from habit that are the authors' and are kept: the embedding of codebook 0 counts twice, and no
positional encoding is applied (a causal model can find positions by itself: arXiv 2203.16634). Departures
from the authors that change no output: query, key and value are one matrix, all embeddings are one table, and
the last block and the head run only on the rows that predict the one-shot.
"""

import dataclasses
import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dose.model import attention
from dose.model.condition_encoder import ConditionEncoder
from dose.model.dropout import dropout
from dose.model.linear import Linear
from dose.tokens import band_energies, layout


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Sizes and switches. The defaults of the switches are the paper's."""

    layers: int = 10
    width: int = 1024
    heads: int = 16
    dropout: float = 0.1  # on embedding, attention projection and feed-forward; none inside attention
    codebooks: int = 9
    entries: int = 1024  # codes per codebook
    frames: int = 87  # length of the one-shot in codec frames: 87 (1 s), 90, 173 (2 s)
    positions: Literal["none", "rotary"] = "none"
    prefix: Literal["causal", "bidirectional"] = "causal"  # how the prompt attends to itself
    pattern: layout.Pattern = "delay"
    excerpts: int = 1  # the prompt is this many pieces of equal length; 1 for the paper's whole mix
    # The excerpts start where the one-shot starts. "also": told to the model besides the prompt's rows, see
    # Aligned; "only": instead of them, so that the sequence is the one-shot alone; "levels": the same, of
    # excerpts that are levels of bands and not codes, see Listener.
    aligned: Literal["no", "also", "only", "levels"] = "no"
    structure: Literal["free", "fixed"] = "fixed"  # free: start, end and empty cells are the model's to say
    drums: tuple[str, ...] = ()  # more than one: a drum token tells which one to say

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.codebooks, self.entries, self.frames) < 1:
            raise ValueError("layers, width, heads, codebooks, entries and frames must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide by {self.heads} heads")
        if self.positions == "rotary" and (self.width // self.heads) % 2:
            raise ValueError("rotary positions need an even head size")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if self.excerpts < 1:
            raise ValueError("excerpts must be at least 1")
        if len(self.drums) == 1:
            raise ValueError(
                "drums names the drums of a shared model: at least two, or none for a model of one"
            )

    @property
    def vocabulary(self) -> int:
        return self.entries + 1

    @property
    def rows(self) -> int:
        """S: rows of a one-shot, start and end included."""
        return layout.one_shot_length(self.frames, self.codebooks, self.pattern)

    @property
    def prompt_rows(self) -> int:
        """Rows of a prompt: codebooks, or features of a band picture."""
        return band_energies.FEATURES if self.aligned == "levels" else self.codebooks

    @property
    def prompt_values(self) -> int:
        """A prompt's numbers lie below this."""
        return band_energies.MAX_LEVEL + 1 if self.aligned == "levels" else self.entries

    @property
    def head_size(self) -> int:
        return self.width // self.heads


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
        """x [B, S, d] to [B, last, d]: all rows are attended to, only the `last` ones computed further."""
        b, s, d = x.shape
        qkv = self.qkv(self.ln1(x)).view(b, s, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        if mask is None:
            y = attention.causal(q, k, v, last)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)[:, :, s - last :]
        y = y.transpose(1, 2).reshape(b, last, d)
        x = x[:, s - last :] + dropout(self.proj(y), self.dropout, self.training)
        ff = self.down(F.gelu(self.up(self.ln2(x))))
        return x + dropout(ff, self.dropout, self.training)


class AlignedCodeEncoder(nn.Module):
    """What the model is told without having to find it: excerpt and one-shot start at the same moment.

    Where row s + 1 of the one-shot is predicted, two views of the excerpts are added, in an embedding of
    their own: the excerpts' own row s of the delay pattern, which holds the very cells to be predicted as
    they are in the mix; and a convolution over their undelayed frames around s, which sees each frame with
    all its codebooks. The mean over the excerpts is taken after a nonlinearity, so that what they share can
    count for more than what only one of them has. Past the excerpts' end nothing is added.
    """

    REACH = 2  # frames that the convolution sees on either side

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.width
        self.config = config
        self.embed = nn.Embedding(config.codebooks * config.vocabulary, d)
        self.cells = nn.Linear(d, d)
        self.frames = nn.Conv1d(d, d, 2 * self.REACH + 1, padding=self.REACH)
        self.out = nn.Linear(d, d)
        self.whole = nn.Linear(d, d)

    def forward(self, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """Prompt codes [B, K, P] to what is added where each of the S rows is predicted, [B, S, d], and to
        a summary of the prompt, [B, 1, d]."""
        c = self.config
        b, k, p = prompt.shape
        each = prompt.view(b, k, c.excerpts, p // c.excerpts).transpose(1, 2).flatten(0, 1)
        cells = self._mean(embed(layout.mix_steps(each, c.pattern), self.embed.weight))
        frames = embed(each.transpose(1, 2) + 1, self.embed.weight).transpose(1, 2)
        heard = self._mean(F.gelu(self.frames(frames)).transpose(1, 2))
        added = self.cells(cells) + F.pad(self.out(heard), (0, 0, 0, cells.shape[1] - heard.shape[1]))
        added = added[:, : c.rows - 1]
        added = F.pad(added, (0, 0, 1, c.rows - 1 - added.shape[1]))
        return added, self.whole(heard.mean(dim=1, keepdim=True))

    def _mean(self, x: Tensor) -> Tensor:
        """[B x excerpts, S, d] to the mean over the excerpts [B, S, d]."""
        return x.view(-1, self.config.excerpts, *x.shape[1:]).mean(dim=1)


def embed(rows: Tensor, table: Tensor, twice: bool = False) -> Tensor:
    """Token rows [B, S, K] to [B, S, d]: the sum of one embedding per codebook, from a table [K x V, d].

    `twice` counts codebook 0 twice.
    """
    b, s, k = rows.shape
    index = rows + torch.arange(k, device=rows.device) * (table.shape[0] // k)
    if twice:
        index = torch.cat([index[..., :1], index], dim=-1)
    return F.embedding_bag(index.flatten(0, 1), table, mode="sum").view(b, s, table.shape[1])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt as the model's input."""

    rows: Tensor  # [B, rows, d], before the one-shot's rows
    added: Tensor | None  # [B, S, d], added where each row of the one-shot is predicted
    picture: Tensor | None = None  # [B, BANDS, frames]: what a Listener takes the one-shot to look like


class DoseModel(nn.Module):
    """Predicts the token rows of a one-shot from the codes of a prompt."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        d, v, k = config.width, config.vocabulary, config.codebooks
        self.embed = nn.Embedding(k * v, d)
        self.drum = nn.Embedding(len(config.drums), d) if config.drums else None
        self.segment = nn.Parameter(torch.zeros(d)) if config.aligned != "no" else None  # marks the prompt
        self.aligned = AlignedCodeEncoder(config) if config.aligned in ("also", "only") else None
        self.listener = (
            ConditionEncoder(d, config.excerpts, config.frames, config.dropout)
            if config.aligned == "levels"
            else None
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln = nn.LayerNorm(d)
        self.head = nn.Linear(d, k * v)
        self._initialise()

    def _initialise(self) -> None:
        """Small normal weights, residual outputs scaled by depth (GPT-2), so that deep models start calm."""
        for name, p in self.named_parameters():
            if p.ndim < 2 or name.startswith("listener."):  # that has no depth to be calmed
                continue
            scale = 0.02
            if name.endswith(("proj.weight", "down.weight")):
                scale /= math.sqrt(2 * self.config.layers)
            nn.init.normal_(p, std=scale)
        for m in self.modules():
            if isinstance(m, nn.Linear | nn.Conv1d) and m.bias is not None:
                nn.init.zeros_(m.bias)

    @torch.no_grad()
    def adopt(self, vectors: Tensor, seed: int = 0) -> None:
        """Starts embeddings and head from what the codes sound like: vectors [K, N, D], zero-padded in D.

        Codes with similar vectors get similar embeddings and similar logits, by one random projection per
        codebook, so that nothing about the codec's geometry has to be learnt from tokens alone. Half of the
        variance stays random, which keeps every code apart from its neighbours; the empty token is left as it
        is. Excerpts and head share their projections and the path between them starts as an identity: an
        aligned model starts by leaning towards saying what it hears. This only changes where training starts.
        """
        generator = torch.Generator().manual_seed(seed)
        centred = vectors - vectors.mean(dim=1, keepdim=True)
        centred = centred / centred.square().sum(dim=2).mean(dim=1).sqrt()[:, None, None].clamp(min=1e-9)
        said = [self.head.weight] + ([self.aligned.embed.weight] if self.aligned is not None else [])
        for tables in ([self.embed.weight], said):
            for k, vector in enumerate(centred):
                projected = vector @ torch.randn(vector.shape[1], self.config.width, generator=generator)
                for table in tables:
                    book = table.view(self.config.codebooks, self.config.vocabulary, -1)[k]
                    book[1:] = (book[1:] + book.std() * projected.to(book)) / math.sqrt(2)
        if self.aligned is not None:
            nn.init.eye_(self.aligned.cells.weight)

    def embed_rows(self, rows: Tensor) -> Tensor:
        """Token rows [B, S, K] to [B, S, d]: the sum of one embedding per codebook, codebook 0 twice."""
        return embed(rows, self.embed.weight, twice=True)

    def read_prompt(self, prompt: Tensor, drum: Tensor | None = None) -> Prompt:
        """Prompt codes [B, K, P] as input; `drum` [B] says which one of a shared model's drums is wanted.

        A prompt of -1 everywhere is the empty prompt of classifier-free guidance: all its cells are empty.
        """
        added = summary = picture = None
        if self.aligned is not None:
            added, summary = self.aligned(prompt)
        elif self.listener is not None:
            heard, summary, picture = self.listener(prompt)
            added = F.pad(heard, (0, 0, 1, self.config.rows - 1 - self.config.frames))
        if summary is not None and self.config.aligned != "also":
            x = summary
        else:
            x = self.embed_rows(layout.mix_steps(prompt, self.config.pattern, self.config.excerpts))
        if self.segment is not None:
            x = x + self.segment
        if self.drum is not None:
            if drum is None:
                raise ValueError("a model of several drums needs the drum's number for each request")
            x = torch.cat([self.drum(drum)[:, None], x], dim=1)
        return Prompt(rows=x, added=added, picture=picture)

    def positions(self, prompt_rows: int, shot_rows: int) -> Tensor:
        """The position of each row. Aligned excerpts and the one-shot each begin at 0, so that a row of the
        one-shot and the rows of the excerpts that sound at its time have the same."""
        if self.config.aligned == "no":
            return torch.arange(prompt_rows + shot_rows, device=self.head.weight.device)
        first = int(self.drum is not None)
        excerpts = 1 if self.config.aligned != "also" else self.config.excerpts
        each = torch.arange((prompt_rows - first) // excerpts).repeat(excerpts)
        return torch.cat([torch.zeros(first, dtype=torch.long), each, torch.arange(shot_rows)]).to(
            self.head.weight.device
        )

    def forward(
        self, prompt: Tensor, shot: Tensor, drum: Tensor | None = None, last: int | None = None
    ) -> Tensor:
        """Teacher forcing: prompt codes [B, K, P], one-shot token rows [B, S - 1, K]; logits [B, last, K, V].

        The default `last` = S gives the logits of the one-shot's S rows: the start row is predicted from the
        prompt's last row, as the authors have it. A larger `last` also gives those of prompt rows.
        """
        return self.answer(prompt, shot, drum, last)[0]

    def answer(
        self, prompt: Tensor, shot: Tensor, drum: Tensor | None = None, last: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The same and, where there is a listener, its picture of the one-shot [B, BANDS, frames]."""
        hidden, picture = self.hidden(prompt, shot, drum, last)
        return self.logits(hidden), picture

    def hidden(
        self, prompt: Tensor, shot: Tensor, drum: Tensor | None = None, last: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `answer`, up to the head: final states [B, last, d] in the place of logits."""
        seen, n = self.read_prompt(prompt, drum), shot.shape[1] + 1
        x = torch.cat([seen.rows, self.embed_rows(shot)], dim=1)
        if seen.added is not None:
            x = torch.cat([x[:, :-n], x[:, -n:] + seen.added[:, :n]], dim=1)
        return self.trunk(x, seen.rows.shape[1], last or n), seen.picture

    def trunk(self, x: Tensor, prefix: int, last: int) -> Tensor:
        """Embedded rows [B, S, d], of which the first `prefix` are prompt, to the `last` final states."""
        s = x.shape[1]
        x = dropout(x, self.config.dropout, self.training)
        rotation = rotations(self.positions(prefix, s - prefix), self.config) if self.rotary else None
        mask = self.mask(s, prefix, x.device)
        for i, block in enumerate(self.blocks):
            x = block(x, rotation, mask, last if i == len(self.blocks) - 1 else s)
        return self.ln(x)

    def logits(self, hidden: Tensor) -> Tensor:
        return self.head(hidden).view(*hidden.shape[:2], self.config.codebooks, self.config.vocabulary)

    @property
    def rotary(self) -> bool:
        return self.config.positions == "rotary"

    def mask(self, s: int, prefix: int, device: torch.device) -> Tensor | None:
        """None means plain causal, which needs no mask in memory."""
        if self.config.prefix == "causal":
            return None
        mask = torch.ones(s, s, dtype=torch.bool, device=device).tril()
        mask[:prefix, :prefix] = True
        return mask


def rotations(positions: Tensor, config: ModelConfig) -> Tensor:
    """Rotary angles (arXiv 2104.09864) as cosines and sines: [2, S, head size / 2]."""
    half = config.head_size // 2
    frequency = 10000.0 ** (-torch.arange(half, device=positions.device) / half)
    angle = positions[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Turns the pairs (i, i + half) of x [B, H, S, head size] by the angles [2, S, head size / 2]."""
    cos, sin = rotation.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def parameter_count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())
