"""The transformer once more, for decoding: a static key-value cache and weights packed for small batches.

`Dose.trunk` is the definition; this repeats it in two pieces, `prefill` for the prompt and `step` for one row
per request. Precisions on a CPU: "fp32"; "bf16" weights and activations with a float32 residual stream;
"int8" the same with weights of 8 bits and one scale per output (weight-only: activations stay bf16) for the
steps, while the prompt, which is bound by arithmetic and not by memory, goes through bf16 weights.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.model.transformer import Block, Dose, rotate, rotations

Precision = Literal["fp32", "bf16", "int8"]
Linear = Callable[[Tensor], Tensor]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """One block's operations, each [.., in] to [.., out]; `block` keeps the norms."""

    block: Block
    qkv: Linear
    proj: Linear
    up: Linear
    down: Linear


@dataclasses.dataclass(kw_only=True)
class Cache:
    """Keys and values of every layer, [layers, B, H, rows, head size] each: `length` rows, then zeros."""

    keys: Tensor
    values: Tensor
    prefix: int  # rows of the prompt
    rotation: Tensor | None  # of all rows, [2, rows, head size / 2]
    length: int = 0

    def keep(self, alive: Tensor) -> None:
        """Drops the requests that are not in `alive` (indices)."""
        self.keys, self.values = self.keys[:, alive], self.values[:, alive]


class Engine:
    """A model made ready to decode at one precision. Holds references to the model's fp32 weights."""

    def __init__(self, model: Dose, precision: Precision = "fp32") -> None:
        self.model = model.eval()
        self.config = model.config
        self.precision = precision
        self.device = model.head.weight.device
        self.dtype = torch.float32 if precision == "fp32" else torch.bfloat16
        blocks: list[Block] = list(model.blocks)  # type: ignore[arg-type]
        self.many = [self._layer(b, "bf16" if precision == "int8" else precision) for b in blocks]
        self.few = self.many if precision != "int8" else [self._layer(b, "int8") for b in blocks]
        self.head = linear(model.head, precision)

    def _layer(self, block: Block, precision: Precision) -> Layer:
        return Layer(
            block=block,
            qkv=linear(block.qkv, precision),
            proj=linear(block.proj, precision),
            up=linear(block.up, precision),
            down=linear(block.down, precision),
        )

    def cache(self, batch: int, prefix: int, rows: int) -> Cache:
        """An empty cache for `prefix` prompt rows and `rows` of the one-shot."""
        c = self.config
        shape = (c.layers, batch, c.heads, prefix + rows, c.head_size)
        return Cache(
            keys=torch.zeros(shape, dtype=self.dtype, device=self.device),
            values=torch.zeros(shape, dtype=self.dtype, device=self.device),
            prefix=prefix,
            rotation=rotations(self.model.positions(prefix, rows), c) if self.model.rotary else None,
        )

    def prefill(self, x: Tensor, cache: Cache, request: slice) -> Tensor:
        """Embedded rows [B, S, d] into the cache at `request`; the last row's logits [B, K, V] (fp32)."""
        s = x.shape[1]
        rotation = None if cache.rotation is None else cache.rotation[:, :s]
        mask = self.model.mask(s, cache.prefix, x.device)
        for i, layer in enumerate(self.many):
            q, k, v = self.qkv(layer, x, rotation)
            cache.keys[i, request, :, :s] = k
            cache.values[i, request, :, :s] = v
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None)
            if i == len(self.many) - 1:
                x, y = x[:, -1:], y[:, :, -1:]
            x = self.finish(layer, x, y)
        cache.length = s
        return self.logits(x)

    def step(self, x: Tensor, cache: Cache) -> Tensor:
        """One embedded row per request [B, 1, d]; its logits [B, K, V] (fp32)."""
        n = cache.length
        rotation = None if cache.rotation is None else cache.rotation[:, n : n + 1]
        for i, layer in enumerate(self.few):
            q, k, v = self.qkv(layer, x, rotation)
            keys, values = cache.keys[i], cache.values[i]
            keys[:, :, n : n + 1] = k
            values[:, :, n : n + 1] = v
            x = self.finish(layer, x, attend(q, keys, values, n + 1))
        cache.length = n + 1
        return self.logits(x)

    # The three parts of a step that `captured` shares.

    def qkv(self, layer: Layer, x: Tensor, rotation: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        b, s, _ = x.shape
        qkv = layer.qkv(layer.block.ln1(x).to(self.dtype))
        q, k, v = qkv.view(b, s, 3, self.config.heads, self.config.head_size).permute(2, 0, 3, 1, 4).unbind(0)
        if rotation is not None:
            q, k = rotate(q, rotation), rotate(k, rotation)
        return q, k, v

    def finish(self, layer: Layer, x: Tensor, y: Tensor) -> Tensor:
        b, s, d = x.shape
        x = x + layer.proj(y.transpose(1, 2).reshape(b, s, d))
        return x + layer.down(F.gelu(layer.up(layer.block.ln2(x).to(self.dtype))))

    def logits(self, x: Tensor) -> Tensor:
        logits = self.head(self.model.ln(x[:, -1]).to(self.dtype))
        return logits.float().view(-1, self.config.codebooks, self.config.vocabulary)


def attend(q: Tensor, keys: Tensor, values: Tensor, length: int) -> Tensor:
    """One query per head [B, H, 1, h] over the first `length` of the cached rows [B, H, rows, h].

    On a CPU in bfloat16, SDPA repacks keys and values at every call. Two products over the whole cache, with
    no weight on the rows that are still empty, read it once, in place: 3 to 5 times faster.
    """
    if q.dtype == torch.float32 or q.is_cuda:
        return F.scaled_dot_product_attention(q, keys[:, :, :length], values[:, :, :length])
    b, h, rows, size = keys.shape
    scores = torch.bmm(q.reshape(b * h, 1, size), keys.view(b * h, rows, size).transpose(1, 2))
    weights = q.new_zeros(b * h, 1, rows)
    weights[..., :length] = (scores[..., :length].float() * size**-0.5).softmax(-1)
    return torch.bmm(weights, values.view(b * h, rows, size)).view(b, h, 1, size)


def linear(module: torch.nn.Linear, precision: Precision) -> Linear:
    """The module as a function at this precision; bf16 and int8 take and give bfloat16."""
    weight, bias = module.weight.detach(), module.bias.detach()
    if precision == "fp32":
        return lambda x: F.linear(x, weight, bias)
    bias = bias.bfloat16()
    if precision == "bf16":
        weight = weight.bfloat16()
        return lambda x: F.linear(x, weight, bias)
    packed, scale = quantise(weight)

    def apply(x: Tensor) -> Tensor:
        flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]), packed, scale)
        return (flat + bias).view(*x.shape[:-1], -1)

    return apply


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [out, in] as int8 and one bfloat16 scale per output row, symmetric, rounded to nearest."""
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).bfloat16()
    return (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scale
