"""DAC's encoder and decoder for a CPU: the same layers as channels-last 2-d convolutions.

Three changes that leave the mathematics as it is: weight normalisation is folded into the weights once
instead of at each call; a one-dimensional convolution becomes a two-dimensional one of height 1 in
channels-last layout, for which oneDNN has its fastest kernels; the snake activation writes into one temporary
tensor instead of five.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

Layer = Callable[[Tensor], Tensor]


def fast(network: nn.Module, dtype: torch.dtype) -> Layer:
    """A function equal to `network` ([B, C, N] to [B, C', N']), computing in `dtype`."""
    layer = _layer(network, dtype)

    def run(x: Tensor) -> Tensor:
        x = x.to(dtype)[:, :, None].contiguous(memory_format=torch.channels_last)  # [B, C, 1, N]
        return layer(x)[:, :, 0].contiguous()

    return run


def _layer(module: nn.Module, dtype: torch.dtype) -> Layer:
    # By the names of upstream's classes, so that this module need not import dac.
    name = type(module).__name__
    if name in ("Sequential", "Encoder", "EncoderBlock", "DecoderBlock", "Decoder"):
        inner = module if name == "Sequential" else getattr(module, "block", None) or module.model
        layers = [_layer(m, dtype) for m in inner.children()]  # type: ignore[union-attr]
        return lambda x: _chain(layers, x)
    if name == "ResidualUnit":
        block = _layer(module.block, dtype)  # type: ignore[arg-type]
        return lambda x: block(x).add_(x)
    if name == "Snake1d":
        return _snake(module.alpha, dtype)  # type: ignore[arg-type]
    if name == "Tanh":
        return torch.tanh
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
        return _convolution(module, dtype)
    raise TypeError(f"no fast form is known of the layer {name}")


def _chain(layers: list[Layer], x: Tensor) -> Tensor:
    for layer in layers:
        x = layer(x)
    return x


def _snake(alpha: Tensor, dtype: torch.dtype) -> Layer:
    """x + sin(alpha x)^2 / alpha (Ziyin et al., 2020)."""
    # alpha is [1, C, 1]; the extra axis is the height. 1e-9 as upstream has it.
    rate = alpha.detach()[..., None].to(dtype)
    inverse = (alpha.detach() + 1e-9).reciprocal()[..., None].to(dtype)

    def snake(x: Tensor) -> Tensor:
        return (x * rate).sin_().square_().mul_(inverse).add_(x)

    return snake


def _convolution(module: Any, dtype: torch.dtype) -> Layer:
    # weight_norm keeps direction (weight_v) and length (weight_g) apart: w = g v / |v|.
    if hasattr(module, "weight_g"):
        weight = torch._weight_norm(module.weight_v, module.weight_g, 0)
    else:
        weight = module.weight
    weight = weight.detach()[:, :, None].to(dtype).contiguous(memory_format=torch.channels_last)
    bias = None if module.bias is None else module.bias.detach().to(dtype)
    stride, padding = (1, module.stride[0]), (0, int(module.padding[0]))
    dilation = (1, module.dilation[0])
    if isinstance(module, nn.ConvTranspose1d):
        return lambda x: nn.functional.conv_transpose2d(x, weight, bias, stride, padding, dilation=dilation)
    return lambda x: nn.functional.conv2d(x, weight, bias, stride, padding, dilation)
