"""The authors' forward pass and generation, restated slowly from the description of their code.

One head at a time, one mask in memory, one embedding table per codebook, no cache: nothing here is shared
with the code under test. Works on a state dict with their names.
"""

import math

import torch
from torch import Tensor

P = "inst_decoder."


def write_checkpoint(
    path, *, width: int = 64, layers: int = 2, seed: int = 0, **changes
) -> dict[str, Tensor]:
    """A Lightning checkpoint with the release's names and random values; `changes` replace or add entries."""
    g = torch.Generator().manual_seed(seed)

    def random(*shape: int, scale: float = 0.1) -> Tensor:
        return torch.randn(*shape, generator=g) * scale

    state = {
        f"{P}positional_encoder.pe": random(5000, width),
        f"{P}dac_projection_layer.weight": random(9225, width),
        f"{P}dac_projection_layer.bias": random(9225),
        f"{P}midi_embedding_layer.weight": random(1135, width),
        f"{P}ln.weight": 1 + random(width),
        f"{P}ln.bias": random(width),
        f"{P}fc.weight": random(9225, width),
        f"{P}fc.bias": random(9225),
    }
    state |= {f"{P}audio_embedding_layer.{k}.weight": random(1025, width, scale=0.5) for k in range(9)}
    for n in range(layers):
        b = f"{P}blocks.{n}."
        for ln in ("ln1", "ln2"):
            state |= {f"{b}{ln}.weight": 1 + random(width), f"{b}{ln}.bias": random(width)}
        for part in ("key", "value", "query", "proj"):
            state |= {f"{b}attn.{part}.weight": random(width, width), f"{b}attn.{part}.bias": random(width)}
        state |= {f"{b}ff.0.weight": random(4 * width, width), f"{b}ff.0.bias": random(4 * width)}
        state |= {f"{b}ff.2.weight": random(width, 4 * width), f"{b}ff.2.bias": random(width)}
        state[f"{b}attn.mask"] = torch.ones(1, 1, 718, 718).tril().bool()
    state |= changes.get("state", {})
    for name in changes.get("without", ()):
        del state[name]
    hyper = {"epoch": 3, "global_step": 12, "pytorch-lightning_version": "2.0.0", "optimizer_states": []}
    torch.save({"state_dict": state, **hyper}, path)
    return state


def forward(state: dict[str, Tensor], rows: Tensor, heads: int) -> Tensor:
    """Token rows [S, 9] to logits [S, 9, 1025]."""
    layers = len({name.split(".")[2] for name in state if name.startswith(f"{P}blocks.")})
    x = torch.stack([_embed(state, row) for row in rows])
    for n in range(layers):
        b = f"{P}blocks.{n}."
        x = x + _attention(state, b, _norm(x, state, f"{b}ln1"), heads)
        inner = _linear(_norm(x, state, f"{b}ln2"), state, f"{b}ff.0")
        inner = 0.5 * inner * (1 + torch.erf(inner / math.sqrt(2)))
        x = x + _linear(inner, state, f"{b}ff.2")
    return _linear(_norm(x, state, f"{P}ln"), state, f"{P}fc").view(len(rows), 9, 1025)


def generate(state: dict[str, Tensor], codes: Tensor, heads: int, limit: int) -> Tensor:
    """Mix codes [9, T] to the generated token rows [S, 9], greedily, the end row included."""
    rows = mix_rows(codes)
    made: list[Tensor] = []
    for i in range(limit):
        tokens = forward(state, torch.cat([rows, *[m[None] for m in made]]), heads)[-1].argmax(dim=-1)
        made.append(tokens)
        if i > 0 and bool((tokens == 0).all()):
            break
    return torch.stack(made)


def mix_rows(codes: Tensor) -> Tensor:
    """Codes [9, T] in delay pattern, [T + 8, 9], cell by cell."""
    out = torch.zeros(codes.shape[1] + 8, 9, dtype=torch.long)
    for k in range(9):
        for t in range(codes.shape[1]):
            out[t + k, k] = codes[k, t] + 1
    return out


def _embed(state: dict[str, Tensor], row: Tensor) -> Tensor:
    total = state[f"{P}audio_embedding_layer.0.weight"][row[0]].clone()
    for k in range(9):
        total += state[f"{P}audio_embedding_layer.{k}.weight"][row[k]]
    return total


def _linear(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def _norm(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    spread = (centred.square().mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * state[f"{name}.weight"] + state[f"{name}.bias"]


def _attention(state: dict[str, Tensor], block: str, x: Tensor, heads: int) -> Tensor:
    q, k, v = (_linear(x, state, f"{block}attn.{part}") for part in ("query", "key", "value"))
    size = x.shape[1] // heads
    past = torch.ones(len(x), len(x)).tril().bool()
    parts = []
    for h in range(heads):
        cut = slice(h * size, (h + 1) * size)
        scores = (q[:, cut] @ k[:, cut].T / math.sqrt(size)).masked_fill(~past, -math.inf)
        parts.append(scores.softmax(dim=-1) @ v[:, cut])
    return _linear(torch.cat(parts, dim=1), state, f"{block}attn.proj")
