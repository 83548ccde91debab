"""The linear layer of training, by the faster of torch's two matrix libraries.

On a CPU in float32 torch multiplies with MKL. oneDNN, which torch carries as well, is a fifth faster at it on
the AMD processors that this was measured on (`dose bench train`). Only the gradient of the weights, whose
operands both stand transposed, stays with MKL.
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
        plain = x.device.type != "cpu" or torch.is_autocast_enabled("cpu") or x.dtype != torch.float32
        if plain or not torch.is_grad_enabled() or torch.compiler.is_compiling():
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
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        flat = above.reshape(-1, above.shape[-1])  # [rows, out]
        return product(above, weight.t()), flat.t() @ x.reshape(-1, x.shape[-1]), flat.sum(0)
