"""The transformer for decoding: a static key-value cache and weights packed for small batches.

`DoseModel.trunk` is the definition; this repeats it in two parts, `prefill` for the prompt and `step` for one
time step per request. A step reads every weight once and multiplies little, so on a CPU the bytes of the
weights set its speed: formats with smaller weights (see `dose.model.packed`) are faster there although their
products are not.
"""

import dataclasses

import torch
import torch.nn.functional as F
from torch import Tensor

from dose.compute import DecodingPrecision, Format
from dose.model import packed
from dose.model.packed import Linear
from dose.model.rotary import rotations
from dose.model.transformer import Block, DoseModel


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One block's linear layers, each [.., in] to [.., out]; `block` holds the norms."""

    block: Block
    qkv: Linear
    proj: Linear
    up: Linear
    down: Linear


@dataclasses.dataclass(kw_only=True)
class KVCache:
    """Keys and values of every layer, [layers, 2, B, H, steps, head size]: `length` steps, then zeros."""

    kv: Tensor
    prefix: int  # steps of the prompt
    rotation: Tensor | None  # of all steps, [2, steps, head size]
    length: int = 0

    def __post_init__(self) -> None:
        self.layers = self.kv.unbind(0)

    def select(self, slots: Tensor) -> None:
        """Keeps the requests in these slots of the batch (indices [n])."""
        self.kv = self.kv[:, :, slots]
        self.layers = self.kv.unbind(0)


class DecodingEngine:
    """A model prepared to decode in one number format. Holds references to the model's fp32 weights.

    "auto" takes the format that is fastest on this machine for `batch` requests at once. Raises ConfigError
    for a format that the device lacks.
    """

    def __init__(self, model: DoseModel, precision: DecodingPrecision = "fp32", *, batch: int = 8) -> None:
        self.model = model.eval()
        self.config = c = model.config
        self.device = model.head.weight.device
        self.choice = packed.choose(precision, self.device, c, batch)
        self.precision = self.choice.format
        products = packed.choose_products(self.device, c.width).format if self._packed else self.precision
        # Activations and attention: with int8 weights, whose products are in bf16 anyway, in the format that
        # is fastest for products; with fp16 weights in fp32, which keeps the tokens those of fp32.
        activations = {"fp16": "fp32", "int8": products}.get(self.precision, self.precision)
        self.dtype = packed.dtype(activations)
        blocks: list[Block] = list(model.blocks)  # type: ignore[arg-type]
        self.step_layers = [self._layer(b, self.precision, self.dtype) for b in blocks]
        # A prompt of many steps is bound by arithmetic and not by the weights' bytes, so it may be faster in
        # another format than a step.
        self.prompt_layers, self.prompt_dtype = self.step_layers, self.dtype
        if self._packed and c.prompt_in_sequence and (self.precision == "int8" or products == "bf16"):
            self.prompt_dtype = packed.dtype(products)
            self.prompt_layers = [self._layer(b, products, self.prompt_dtype) for b in blocks]
        self.head = packed.linear(model.head.weight, model.head.bias, self.precision, self.dtype)

    @property
    def _packed(self) -> bool:
        return self.precision in ("fp16", "int8")

    def _layer(self, block: Block, number_format: Format, dtype: torch.dtype) -> LayerWeights:
        def pack(module: torch.nn.Linear) -> Linear:
            return packed.linear(module.weight, module.bias, number_format, dtype)

        return LayerWeights(
            block=block,
            qkv=pack(block.qkv),
            proj=pack(block.proj),
            up=pack(block.up),
            down=pack(block.down),
        )

    def cache(self, batch: int, prefix: int, steps: int) -> KVCache:
        """An empty cache for `prefix` steps of the prompt and `steps` of the one-shot."""
        c = self.config
        shape = (c.layers, 2, batch, c.heads, prefix + steps, c.head_size)
        return KVCache(
            kv=torch.zeros(shape, dtype=self.dtype, device=self.device),
            prefix=prefix,
            rotation=self._rotation(prefix, steps) if self.model.rotary else None,
        )

    def _rotation(self, prefix: int, steps: int) -> Tensor:
        """Cosines and signed sines for `rotate`: [2, prefix + steps, head size]."""
        cos, sin = rotations(self.model.positions(prefix, steps), self.config.head_size)
        return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)]).to(self.dtype)

    def prefill(self, x: Tensor, cache: KVCache, request: slice) -> Tensor:
        """Embedded steps [B, S, d] into the cache's slots `request`; logits [B, K, V] of the last (fp32)."""
        s = x.shape[1]
        rotation = None if cache.rotation is None else cache.rotation[:, :s].to(self.prompt_dtype)
        mask = self.model.mask(s, cache.prefix, x.device)
        for i, layer in enumerate(self.prompt_layers):
            q, kv = self.qkv(layer, x, rotation, self.prompt_dtype)
            cache.layers[i][:, request, :, :s] = kv
            y = F.scaled_dot_product_attention(q, kv[0], kv[1], attn_mask=mask, is_causal=mask is None)
            if i == len(self.prompt_layers) - 1:  # only the last step is needed further
                x, y = x[:, -1:], y[:, :, -1:]
            x = self.after_attention(layer, x, y, self.prompt_dtype)
        cache.length = s
        return self.logits(x)

    def step(self, x: Tensor, cache: KVCache) -> Tensor:
        """One embedded step per request [B, 1, d] to its logits [B, K, V] (fp32)."""
        n = cache.length
        rotation = None if cache.rotation is None else cache.rotation[:, n : n + 1]
        for layer, cached in zip(self.step_layers, cache.layers, strict=True):
            q, kv = self.qkv(layer, x, rotation, self.dtype)
            cached[:, :, :, n : n + 1] = kv
            x = self.after_attention(layer, x, attend(q, cached, n + 1), self.dtype)
        cache.length = n + 1
        return self.logits(x)

    # The three parts of a step, which `cuda_graph` calls too.

    def qkv(
        self, layer: LayerWeights, x: Tensor, rotation: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """x [B, S, d] to queries [B, H, S, head size], and keys and values [2, B, H, S, head size]."""
        b, s, _ = x.shape
        qkv = layer.qkv(_norm(layer.block.ln1, x).to(dtype))
        qkv = qkv.view(b, s, 3, self.config.heads, self.config.head_size).permute(2, 0, 3, 1, 4)
        if rotation is None:
            return qkv[0], qkv[1:]
        rotated = rotate(qkv[:2], rotation)  # queries and keys in one operation
        return rotated[0], torch.stack([rotated[1], qkv[2]])

    def after_attention(self, layer: LayerWeights, x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        """The block's rest: x [B, S, d] and attention outputs y [B, H, S, head size] to [B, S, d]."""
        b, s, d = x.shape
        x = x + layer.proj(y.transpose(1, 2).reshape(b, s, d))
        return x + layer.down(F.gelu(layer.up(_norm(layer.block.ln2, x).to(dtype))))

    def logits(self, x: Tensor) -> Tensor:
        """Logits [B, K, V] (fp32) of the last of the steps [B, S, d]."""
        logits = self.head(_norm(self.model.ln, x[:, -1]).to(self.dtype))
        return logits.float().view(-1, self.config.codebooks, self.config.vocabulary)


def _norm(norm: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    """The module's function: calling the module takes as long as a small step's arithmetic."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """`rotary.rotate` in three operations instead of eight: x [.., S, head size], cosines and signed sines
    [2, S, head size]."""
    return torch.addcmul(x * rotation[0], x.roll(x.shape[-1] // 2, -1), rotation[1])


def attend(q: Tensor, kv: Tensor, length: int) -> Tensor:
    """One query per head [B, H, 1, h] over the first `length` of the cached steps [2, B, H, steps, h].

    On a CPU in bfloat16, SDPA repacks keys and values at every call. Two products over the whole cache, with
    zero weight on the steps that are still empty, read it once and in place: 3 to 5 times faster.
    """
    if q.dtype == torch.float32 or q.is_cuda:
        return F.scaled_dot_product_attention(q, kv[0, :, :, :length], kv[1, :, :, :length])
    _, b, h, steps, size = kv.shape
    keys, values = kv.flatten(1, 2).unbind(0)
    scores = torch.bmm(q.reshape(b * h, 1, size), keys.transpose(1, 2))
    weights = q.new_zeros(b * h, 1, steps)
    weights[..., :length] = (scores[..., :length].float() * size**-0.5).softmax(-1)
    return torch.bmm(weights, values).view(b, h, 1, size)
