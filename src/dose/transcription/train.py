"""Fits the onset detector on mixes whose hits are known."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from dose import files
from dose.drums import DRUMS
from dose.transcription.detector import HOP, RATE, OnsetDetector, find_onsets, likelihoods, log_band_energies

SPREAD = 0.8  # frames; how far around a hit its frame counts as hit


def features(items: Iterable[tuple[np.ndarray, dict[str, tuple[float, ...]]]]) -> tuple[Tensor, Tensor]:
    """(mix [N] mono, hits in seconds) to levels [n, BANDS, T] and targets [n, 3, T], half precision."""
    levels, targets = [], []
    for mix, hits in items:
        level = log_band_energies(torch.from_numpy(mix)[None])[0]
        levels.append(level.half())
        targets.append(target(hits, level.shape[1]).half())
    return torch.stack(levels), torch.stack(targets)


def target(hits: dict[str, tuple[float, ...]], frames: int) -> Tensor:
    """[3, frames]: 1 at a hit, falling off as a bell of SPREAD frames."""
    grid = torch.arange(frames)
    out = torch.zeros(len(DRUMS), frames)
    for row, drum in zip(out, DRUMS, strict=True):
        for seconds in hits[drum]:
            torch.maximum(row, torch.exp(-0.5 * ((grid - seconds * RATE / HOP) / SPREAD) ** 2), out=row)
    return out


def fit_detector(
    levels: Tensor, targets: Tensor, *, epochs: int, seed: int, report: Callable[[int, float], None]
) -> OnsetDetector:
    """Trains from nothing; `report(epoch, loss)`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = OnsetDetector()
        size = 16
        steps = epochs * (len(levels) // size)
        optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=max(steps, 1))
        for epoch in range(epochs):
            total = 0.0
            order = torch.randperm(len(levels))
            for start in range(0, len(order) - size + 1, size):
                pick = order[start : start + size]
                # A band that is louder or absent must not decide: each is shifted and some are hidden.
                x = levels[pick].float() * (torch.rand(size, levels.shape[1], 1) > 0.05)
                loss = F.binary_cross_entropy_with_logits(net(x), targets[pick].float())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                total += float(loss.detach())
            report(epoch, total / max(1, len(order) // size))
    return net.eval().requires_grad_(False)


def precision(
    items: Iterable[tuple[np.ndarray, dict[str, tuple[float, ...]]]],
    net: OnsetDetector,
    count: int,
    tolerance: float = 0.02,
) -> dict[str, float]:
    """Per drum: the part of the `count` best hits per mix that lie within `tolerance` s of a true hit."""
    right = dict.fromkeys(DRUMS, 0)
    total = dict.fromkeys(DRUMS, 0)
    for mix, hits in items:
        chances = likelihoods(mix, net)
        for drum in DRUMS:
            for hit in find_onsets(mix, drum, count, chances):
                total[drum] += 1
                right[drum] += min(abs(hit.start / RATE - t) for t in hits[drum]) <= tolerance
    return {drum: right[drum] / max(1, total[drum]) for drum in DRUMS}


def save(net: OnsetDetector, path: Path) -> None:
    with files.atomic(path) as beside:
        safetensors.torch.save_file({n: p.contiguous() for n, p in net.state_dict().items()}, beside)
