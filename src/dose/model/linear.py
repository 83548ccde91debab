"""The linear layer of training, by the faster of torch's two matrix libraries (MKL and oneDNN).

On a CPU torch multiplies float32 matrices with MKL. oneDNN, which is part of torch too, was a fifth faster on
the AMD processors of `dose bench train`. Only the gradient of the weights, both operands of which are
transposed, stays with MKL.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., in] with weight [out, in] and bias [out]: [.., out]."""
    if x.device.type == "cpu" and x.dtype == torch.float32 and torch.backends.mkldnn.is_available():
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return y
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """nn.Linear, for training. The same parameters under the same names."""

    def forward(self, x: Tensor) -> Tensor:
        # oneDNN's operator has no gradient of its own in torch, and does not follow autocast.
        other_format = x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dtype != torch.float32
        if other_format or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return F.linear(x, self.weight, self.bias)
        y: Tensor = _Product.apply(x, self.weight, self.bias)
        return y


class _Product(torch.autograd.Function):
    """`product` with its gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return product(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        flat = gradient.reshape(-1, gradient.shape[-1])  # [.., out] -> [N, out]
        return product(gradient, weight.t()), flat.t() @ x.reshape(-1, x.shape[-1]), flat.sum(0)
