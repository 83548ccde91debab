"""Linear layers for decoding in each number format, and the choice of the format for a model's sizes.

fp32, bf16: plain products. fp16: half-precision weights by FBGEMM, float32 activations. int8: weights rounded
to 8 bits with one scale per output, products in bfloat16.
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dose import compute
from dose.compute import DecodingPrecision, Format
from dose.model.config import ModelConfig

Linear = Callable[[Tensor], Tensor]
PROBE_WEIGHTS = 32 << 20  # in a probe at most: 128 MB in fp32, so that a large model's miss the CPU's caches
PROBE_STEPS = 256  # of a prompt


def linear(weight: Tensor, bias: Tensor, number_format: Format, activations: torch.dtype) -> Linear:
    """A layer with weight [out, in] and bias [out] as a function of activations [.., in] of that type."""
    weight, bias = weight.detach(), bias.detach()
    if number_format in ("fp32", "bf16"):
        weight, bias = weight.to(activations), bias.to(activations)
        return lambda x: F.linear(x, weight, bias)
    if number_format == "fp16":
        packed = _pack_fp16(weight, bias)
        apply: Any = torch.ops.quantized.linear_dynamic_fp16
        if activations == torch.float32:
            return lambda x: apply(x, packed)
        return lambda x: apply(x.float(), packed).to(activations)
    rounded, scale = quantise(weight)
    bias = bias.to(activations)

    def int8(x: Tensor) -> Tensor:
        flat = torch._weight_int8pack_mm(x.reshape(-1, x.shape[-1]).bfloat16(), rounded, scale)
        return (flat.to(activations) + bias).view(*x.shape[:-1], -1)

    return int8


def _pack_fp16(weight: Tensor, bias: Tensor) -> Any:
    """Weights in half precision, packed for FBGEMM. RuntimeError where the CPU or torch has no such
    kernels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch moves its quantised operators elsewhere; they are still there
        return torch.ops.quantized.linear_prepack_fp16(weight.float().contiguous(), bias.float())


def quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weight [out, in] as int8 and one bfloat16 scale per output, symmetric, rounded to nearest."""
    scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12).bfloat16()
    return (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def choose(wanted: DecodingPrecision, device: torch.device, c: ModelConfig, batch: int) -> compute.Choice:
    """The format and threads for steps of `batch` requests through a model of this size."""
    outputs = c.codebooks * c.vocabulary
    shapes = [(3 * c.width, c.width), (c.width, c.width), (4 * c.width, c.width), (c.width, 4 * c.width)]
    block = sum(a * b for a, b in shapes)
    # As many layers as the budget allows: a probe smaller than the caches would rate every format too fast.
    layers = max(1, min(c.layers, (PROBE_WEIGHTS - outputs * c.width) // block))
    shapes = shapes * layers + [(outputs, c.width)]

    def prepare(number_format: Format) -> compute.Work:
        activations = dtype("bf16" if number_format == "bf16" else "fp32")
        ready = [linear(torch.full(s, 0.01), torch.zeros(s[0]), number_format, activations) for s in shapes]
        inputs = {n: torch.ones(batch, n, dtype=activations) for n in (c.width, 4 * c.width)}
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
    """fp32 or bf16 for products of many steps, as those of a prompt."""

    def prepare(number_format: Format) -> compute.Work:
        of_format = dtype(number_format)
        x = torch.ones(PROBE_STEPS, width, dtype=of_format)
        weight = torch.ones(4 * width, width, dtype=of_format)
        return torch.inference_mode()(lambda: F.linear(x, weight))

    return compute.choose(
        "auto",
        device,
        f"products, width {width}",
        {f: lambda f=f: prepare(f) for f in ("fp32", "bf16")},  # type: ignore[misc]
        flop=2 * PROBE_STEPS * 4 * width * width,
    )


def dtype(number_format: str) -> torch.dtype:
    return torch.float32 if number_format == "fp32" else torch.bfloat16
