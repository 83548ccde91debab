"""How tokens are picked from logits: each request by its own rules and its own random numbers."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sampling:
    """One request's rules. Temperature 0 is greedy; then top_k, top_p and seed have no effect."""

    temperature: float = 0.0
    top_k: int = 0  # keep the k most likely codes; 0 keeps all
    top_p: float = 1.0  # keep the most likely codes that together reach this probability
    seed: int = 0
    guidance: float = 1.0  # classifier-free: logits = empty + guidance x (prompted - empty); 1 is off

    def __post_init__(self) -> None:
        if self.temperature < 0:
            raise ValueError("temperature must be at least 0")
        if self.top_k < 0:
            raise ValueError("top_k must be at least 0")
        if not 0 < self.top_p <= 1:
            raise ValueError("top_p must be above 0 and at most 1")


class Sampler:
    """Picks tokens for a batch whose members come and go.

    A request's random numbers come from its own generator, in the same order whatever else is in the batch.
    """

    AHEAD = 32  # steps for which random numbers are drawn at once: one call instead of one per step

    def __init__(self, samplings: Sequence[Sampling]) -> None:
        self.samplings = list(samplings)
        self.generators = [torch.Generator().manual_seed(s.seed) for s in samplings]
        self.drawn = torch.empty(len(self.samplings), 0)  # [B, steps left, K], uniform in 0..1

    def keep(self, alive: Sequence[int]) -> None:
        self.samplings = [self.samplings[i] for i in alive]
        self.generators = [self.generators[i] for i in alive]
        self.drawn = self.drawn[list(alive)]

    def choose(self, logits: Tensor) -> Tensor:
        """Logits [B, K, V] to tokens [B, K]."""
        free = [s.temperature > 0 for s in self.samplings]
        if not any(free):
            return logits.argmax(dim=-1)
        drawn = draw(logits, self.samplings, self._uniform(logits.shape[1]).to(logits.device))
        if all(free):
            return drawn
        return torch.where(torch.tensor(free, device=logits.device)[:, None], drawn, logits.argmax(dim=-1))

    def _uniform(self, codebooks: int) -> Tensor:
        """The next random numbers, [B, K, 1]."""
        if not self.drawn.shape[1]:
            self.drawn = torch.stack(
                [torch.rand(self.AHEAD, codebooks, generator=g) for g in self.generators]
            )
        now, self.drawn = self.drawn[:, 0], self.drawn[:, 1:]
        return now[..., None]


def draw(logits: Tensor, samplings: Sequence[Sampling], uniform: Tensor) -> Tensor:
    """Inverse transform sampling among the codes that top-k and then top-p keep.

    Logits [B, K, V] and numbers in 0..1 [B, K, 1] to tokens [B, K]: a code is drawn for a share of the
    numbers that equals its probability.
    """

    def each(name: str) -> Tensor:
        return torch.tensor([getattr(s, name) for s in samplings], device=logits.device)[:, None, None]

    v = logits.shape[-1]
    scaled = logits.float() / each("temperature").clamp(min=1e-6)
    ascending = _ascending(scaled)  # the least likely first
    weight = (ascending - ascending[..., -1:]).exp_()
    if any(s.top_k for s in samplings):
        top_k = each("top_k")
        weight *= (torch.arange(v, device=logits.device) >= v - top_k) | (top_k == 0)
    mass = weight.cumsum(dim=-1)  # [B, K, V], up to and with each code, not yet divided by the total
    total = mass[..., -1:]
    # Top-p keeps the likeliest codes that together reach top_p, so it drops those within the last 1 - top_p.
    dropped = (mass <= (1 - each("top_p")) * total).sum(dim=-1, keepdim=True)
    lost = torch.where(dropped > 0, mass.gather(-1, (dropped - 1).clamp(min=0)), 0.0)
    place = (mass <= lost + uniform * (total - lost)).sum(dim=-1, keepdim=True).clamp_(max=v - 1)
    return _find(scaled, ascending.gather(-1, place))


def _ascending(logits: Tensor) -> Tensor:
    """The values of the last axis, smallest first. On a CPU numpy sorts 1,024 of them thirty times faster."""
    if logits.device.type != "cpu":
        return logits.sort(dim=-1).values
    return torch.from_numpy(np.sort(logits.numpy(), axis=-1))


def _find(logits: Tensor, values: Tensor) -> Tensor:
    """Where in the last axis of [B, K, V] the value [B, K, 1] stands first: [B, K]."""
    if logits.device.type != "cpu":
        return (logits == values).byte().argmax(dim=-1)
    return torch.from_numpy((logits == values).numpy().argmax(axis=-1))
