"""The transformer once more, for decoding: a static key-value cache and weights packed for small batches.

`Dose.trunk` is the definition; this repeats it in two pieces, `prefill` for the prompt and `step` for one
time step per request. A step reads every weight once and multiplies little, so the bytes of the weights
decide on a CPU: formats with smaller weights (see `dose.compute`) are faster there although their products
are not.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dose import compute
from dose.compute import DecodingPrecision, Format
from dose.model.transformer import Block, DoseModel, ModelConfig, rotations

Linear = Callable[[Tensor], Tensor]
PROBE_WEIGHTS = 32 << 20  # in a probe at most: 128 MB in fp32, so that a large model's miss the caches
PROBE_ROWS = 256  # of a prompt


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerWeights:
    """One block's operations, each [.., in] to [.., out]; `block` keeps the norms."""

    block: Block
    qkv: Linear
    proj: Linear
    up: Linear
    down: Linear


@dataclasses.dataclass(kw_only=True)
class KVCache:
    """Keys and values of every layer, [layers, 2, B, H, rows, head size]: `length` rows, then zeros."""

    kv: Tensor
    prefix: int  # rows of the prompt
    rotation: Tensor | None  # of all rows, [2, rows, head size / 2]
    length: int = 0

    def __post_init__(self) -> None:
        self.layers = self.kv.unbind(0)

    def keep(self, alive: Tensor) -> None:
        """Drops the requests that are not in `alive` (indices)."""
        self.kv = self.kv[:, :, alive]
        self.layers = self.kv.unbind(0)


class DecodingEngine:
    """A model made ready to decode in one number format. Holds references to the model's fp32 weights.

    "auto" takes the format that is fastest on this machine for `batch` requests at once. Raises ConfigError
    for a format that the device lacks.
    """

    def __init__(self, model: DoseModel, precision: DecodingPrecision = "fp32", *, batch: int = 8) -> None:
        self.model = model.eval()
        self.config = c = model.config
        self.device = model.head.weight.device
        self.choice = choose(precision, self.device, c, batch)
        self.precision = self.choice.format
        products = choose_products(self.device, c.width).format if self._packed else self.precision
        # Activations and attention of int8, whose products are in bf16 anyway, are in what is fastest for
        # products; those of half-precision weights in fp32, which keeps their tokens fp32's.
        around = {"fp16": "fp32", "int8": products}.get(self.precision, self.precision)
        self.dtype = _dtype(around)
        self.few = [self._layer(b, self.precision, self.dtype) for b in model.blocks]  # type: ignore[arg-type]
        # The many rows of a mix's codes are bound by arithmetic and not by the weights' bytes.
        self.many, self.prompt_dtype = self.few, self.dtype
        long = c.aligned in ("no", "also")
        if self._packed and long and (self.precision == "int8" or products == "bf16"):
            self.prompt_dtype = _dtype(products)
            self.many = [self._layer(b, products, self.prompt_dtype) for b in model.blocks]  # type: ignore[arg-type]
        self.head = linear(model.head.weight, model.head.bias, self.precision, self.dtype)

    @property
    def _packed(self) -> bool:
        return self.precision in ("fp16", "int8")

    def _layer(self, block: Block, number_format: Format, dtype: torch.dtype) -> LayerWeights:
        def packed(module: torch.nn.Linear) -> Linear:
            return linear(module.weight, module.bias, number_format, dtype)

        return LayerWeights(
            block=block,
            qkv=packed(block.qkv),
            proj=packed(block.proj),
            up=packed(block.up),
            down=packed(block.down),
        )

    def cache(self, batch: int, prefix: int, rows: int) -> KVCache:
        """An empty cache for `prefix` prompt rows and `rows` of the one-shot."""
        c = self.config
        shape = (c.layers, 2, batch, c.heads, prefix + rows, c.head_size)
        return KVCache(
            kv=torch.zeros(shape, dtype=self.dtype, device=self.device),
            prefix=prefix,
            rotation=self._rotation(prefix, rows) if self.model.rotary else None,
        )

    def _rotation(self, prefix: int, rows: int) -> Tensor:
        """Cosines and signed sines for `rotated`: [2, prefix + rows, head size]."""
        cos, sin = rotations(self.model.positions(prefix, rows), self.config)
        return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)]).to(self.dtype)

    def prefill(self, x: Tensor, cache: KVCache, request: slice) -> Tensor:
        """Embedded rows [B, S, d] into the cache at `request`; the last row's logits [B, K, V] (fp32)."""
        s = x.shape[1]
        rotation = None if cache.rotation is None else cache.rotation[:, :s].to(self.prompt_dtype)
        mask = self.model.mask(s, cache.prefix, x.device)
        for i, layer in enumerate(self.many):
            q, kv = self.qkv(layer, x, rotation, self.prompt_dtype)
            cache.layers[i][:, request, :, :s] = kv
            y = F.scaled_dot_product_attention(q, kv[0], kv[1], attn_mask=mask, is_causal=mask is None)
            if i == len(self.many) - 1:
                x, y = x[:, -1:], y[:, :, -1:]
            x = self.finish(layer, x, y, self.prompt_dtype)
        cache.length = s
        return self.logits(x)

    def step(self, x: Tensor, cache: KVCache) -> Tensor:
        """One embedded row per request [B, 1, d]; its logits [B, K, V] (fp32)."""
        n = cache.length
        rotation = None if cache.rotation is None else cache.rotation[:, n : n + 1]
        for layer, held in zip(self.few, cache.layers, strict=True):
            q, kv = self.qkv(layer, x, rotation, self.dtype)
            held[:, :, :, n : n + 1] = kv
            x = self.finish(layer, x, attend(q, held, n + 1), self.dtype)
        cache.length = n + 1
        return self.logits(x)

    # The three parts of a step that `captured` shares.

    def qkv(
        self, layer: LayerWeights, x: Tensor, rotation: Tensor | None, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """x [B, S, d] to queries [B, H, S, head size], and keys and values [2, B, H, S, head size]."""
        b, s, _ = x.shape
        qkv = layer.qkv(_norm(layer.block.ln1, x).to(dtype))
        qkv = qkv.view(b, s, 3, self.config.heads, self.config.head_size).permute(2, 0, 3, 1, 4)
        if rotation is None:
            return qkv[0], qkv[1:]
        turned = rotated(qkv[:2], rotation)  # queries and keys in one go
        return turned[0], torch.stack([turned[1], qkv[2]])

    def finish(self, layer: LayerWeights, x: Tensor, y: Tensor, dtype: torch.dtype) -> Tensor:
        b, s, d = x.shape
        x = x + layer.proj(y.transpose(1, 2).reshape(b, s, d))
        return x + layer.down(F.gelu(layer.up(_norm(layer.block.ln2, x).to(dtype))))

    def logits(self, x: Tensor) -> Tensor:
        logits = self.head(_norm(self.model.ln, x[:, -1]).to(self.dtype))
        return logits.float().view(-1, self.config.codebooks, self.config.vocabulary)


def _norm(norm: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    """The module's own function: calling a module costs as much as a small step's arithmetic."""
    return F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def rotated(x: Tensor, rotation: Tensor) -> Tensor:
    """`transformer.rotate` in three operations instead of eight: x [.., S, head size], cosines and signed
    sines [2, S, head size]."""
    return torch.addcmul(x * rotation[0], x.roll(x.shape[-1] // 2, -1), rotation[1])


def attend(q: Tensor, kv: Tensor, length: int) -> Tensor:
    """One query per head [B, H, 1, h] over the first `length` of the cached rows [2, B, H, rows, h].

    On a CPU in bfloat16, SDPA repacks keys and values at every call. Two products over the whole cache, with
    no weight on the rows that are still empty, read it once, in place: 3 to 5 times faster.
    """
    if q.dtype == torch.float32 or q.is_cuda:
        return F.scaled_dot_product_attention(q, kv[0, :, :, :length], kv[1, :, :, :length])
    _, b, h, rows, size = kv.shape
    keys, values = kv.flatten(1, 2).unbind(0)
    scores = torch.bmm(q.reshape(b * h, 1, size), keys.transpose(1, 2))
    weights = q.new_zeros(b * h, 1, rows)
    weights[..., :length] = (scores[..., :length].float() * size**-0.5).softmax(-1)
    return torch.bmm(weights, values).view(b, h, 1, size)


# Linear layers in each format


def linear(weight: Tensor, bias: Tensor, number_format: Format, activations: torch.dtype) -> Linear:
    """The layer as a function of `activations` [.., in], giving the same type; weight [out, in], bias
    [out]."""
    weight, bias = weight.detach(), bias.detach()
    if number_format in ("fp32", "bf16"):
        weight, bias = weight.to(activations), bias.to(activations)
        return lambda x: F.linear(x, weight, bias)
    if number_format == "fp16":
        packed = _fp16(weight, bias)
        apply: Any = torch.ops.quantized.linear_dynamic_fp16
        if activations == torch.float32:
            return lambda x: apply(x, packed)
        return lambda x: apply(x.float(), packed).to(activations)
    whole, scale = quantise(weight)
    bias = bias.to(activations)

    def int8(x: Tensor) -> Tensor:
        flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]).bfloat16(), whole, scale)
        return (flat.to(activations) + bias).view(*x.shape[:-1], -1)

    return int8


def _fp16(weight: Tensor, bias: Tensor) -> Any:
    """Weights in half precision, packed for FBGEMM. RuntimeError where the CPU or torch has no such
    kernels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves its quantised operators elsewhere; they are still there
        return torch.ops.quantized.linear_prepack_fp16(weight.float().contiguous(), bias.float())


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [out, in] as int8 and one bfloat16 scale per output row, symmetric, rounded to nearest."""
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).bfloat16()
    return (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scale


# Choice of the format


def choose(wanted: DecodingPrecision, device: torch.device, c: ModelConfig, batch: int) -> compute.Choice:
    """The format and threads for steps of `batch` requests through a model of this size."""
    outputs = c.codebooks * c.vocabulary
    shapes = [(3 * c.width, c.width), (c.width, c.width), (4 * c.width, c.width), (c.width, 4 * c.width)]
    block = sum(a * b for a, b in shapes)
    layers = max(1, min(c.layers, (PROBE_WEIGHTS - outputs * c.width) // block))
    shapes = shapes * layers + [(outputs, c.width)]

    def prepare(number_format: Format) -> compute.Work:
        dtype = _dtype("bf16" if number_format == "bf16" else "fp32")
        ready = [linear(torch.full(s, 0.01), torch.zeros(s[0]), number_format, dtype) for s in shapes]
        inputs = {n: torch.ones(batch, n, dtype=dtype) for n in (c.width, 4 * c.width)}
        work = [(f, inputs[shape[1]]) for f, shape in zip(ready, shapes, strict=True)]
        return torch.inference_mode()(lambda: [f(x) for f, x in work])

    return compute.choose(
        wanted,
        device,
        f"decoding, batch {batch}, width {c.width}, layers {c.layers}, outputs {outputs}",
        {f: lambda f=f: prepare(f) for f in ("fp32", "bf16", "fp16", "int8")},  # type: ignore[misc]
        flop=2 * batch * sum(a * b for a, b in shapes),
        threads=True,
    )


def choose_products(device: torch.device, width: int) -> compute.Choice:
    """fp32 or bf16 for products of many rows."""

    def prepare(number_format: Format) -> compute.Work:
        dtype = _dtype(number_format)
        x, weight = torch.ones(PROBE_ROWS, width, dtype=dtype), torch.ones(4 * width, width, dtype=dtype)
        return torch.inference_mode()(lambda: F.linear(x, weight))

    return compute.choose(
        "auto",
        device,
        f"products, width {width}",
        {f: lambda f=f: prepare(f) for f in ("fp32", "bf16")},  # type: ignore[misc]
        flop=2 * PROBE_ROWS * 4 * width * width,
    )


def _dtype(number_format: str) -> torch.dtype:
    return torch.float32 if number_format == "fp32" else torch.bfloat16
