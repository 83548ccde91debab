"""Optimiser, learning-rate schedule and averaged weights."""

import math

import torch
from torch import Tensor, nn


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """Fused AdamW with betas 0.9 and 0.98; no weight decay on biases, norms and embeddings."""
    # Decay would pull rarely used codes' embeddings to zero.
    tables = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decayed = [p for p in model.parameters() if p.ndim > 1 and id(p) not in tables]
    undecayed = [p for p in model.parameters() if p.ndim <= 1 or id(p) in tables]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": undecayed, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)


def learning_rate(step: int, *, peak: float, warmup: int, steps: int, floor: float) -> float:
    """Linear warm-up over `warmup` steps, then a half cosine to `floor` x peak at the last of `steps`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - 1 - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


class EMA:
    """Exponential moving average of a model's weights.

    The decay grows with the step up to `decay`, so that an average is not dominated by the initial weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {n: p.detach().clone() for n, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))  # the warm-up of TensorFlow's EMA
        current = dict(model.named_parameters())
        names = list(self.weights)
        torch._foreach_lerp_(
            [self.weights[n] for n in names], [current[n].detach() for n in names], 1 - decay
        )

    def swap(self, model: nn.Module) -> None:
        """Exchanges the model's weights with the averaged ones; a second call restores them."""
        for name, p in model.named_parameters():
            p.data, self.weights[name] = self.weights[name], p.data


def pack(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's tensors by parameter number, for a file that holds nothing but tensors."""
    state = optimiser.state_dict()["state"]
    return {f"{number}.{key}": value for number, entry in state.items() for key, value in entry.items()}


def unpack(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, key = name.split(".", 1)
        state.setdefault(int(number), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
