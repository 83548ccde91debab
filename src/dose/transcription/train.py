"""Trains the onset detector on mixes whose onsets are known."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from dose import files
from dose.audio import RATE
from dose.drums import DRUMS
from dose.transcription.detector import (
    HOP,
    OnsetDetector,
    find_onsets,
    log_band_energies,
    onset_likelihoods,
)

TARGET_WIDTH = 0.8  # frames: standard deviation of the bell around a true onset; chosen by hand
BATCH = 16  # mixes per step
# Of AdamW and the one-cycle schedule; defaults without a study.
LEARNING_RATE, WEIGHT_DECAY = 3e-3, 0.01
BAND_DROPOUT = 0.05  # share of a mix's bands that a training step hides

AnnotatedMix = tuple[np.ndarray, dict[str, tuple[float, ...]]]  # mono [N], and drum -> onsets in seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorData:
    """Training data in half precision."""

    energies: Tensor  # [n, BANDS, T]
    targets: Tensor  # [n, drums, T]


def features(mixes: Iterable[AnnotatedMix]) -> DetectorData:
    """The detector's input and target for each mix; all mixes are of one length."""
    energies, targets = [], []
    for mix, onsets in mixes:
        energy = log_band_energies(torch.from_numpy(mix)[None])[0]  # [BANDS, T]
        energies.append(energy.half())
        targets.append(target(onsets, energy.shape[1]).half())
    return DetectorData(energies=torch.stack(energies), targets=torch.stack(targets))


def target(onsets: dict[str, tuple[float, ...]], frames: int) -> Tensor:
    """[drums, frames]: 1 at an onset (in seconds), falling off as a Gaussian of TARGET_WIDTH frames."""
    grid = torch.arange(frames)
    out = torch.zeros(len(DRUMS), frames)
    for row, drum in zip(out, DRUMS, strict=True):
        for seconds in onsets[drum]:
            bell = torch.exp(-0.5 * ((grid - seconds * RATE / HOP) / TARGET_WIDTH) ** 2)
            torch.maximum(row, bell, out=row)
    return out


def train_detector(
    data: DetectorData, *, epochs: int, seed: int, report: Callable[[int, float], None]
) -> OnsetDetector:
    """Trains a detector from random weights; `report(epoch, loss)` after each epoch."""
    energies, targets = data.energies, data.targets
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = OnsetDetector()
        steps = epochs * (len(energies) // BATCH)
        optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(steps, 1))
        for epoch in range(epochs):
            total = 0.0
            order = torch.randperm(len(energies))
            for start in range(0, len(order) - BATCH + 1, BATCH):
                batch = order[start : start + BATCH]
                # Band dropout: no single band may decide, since a mix can lack it or have it louder.
                x = energies[batch].float() * (torch.rand(BATCH, energies.shape[1], 1) > BAND_DROPOUT)
                loss = F.binary_cross_entropy_with_logits(net(x), targets[batch].float())
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                total += float(loss.detach())
            report(epoch, total / max(1, len(order) // BATCH))
    return net.eval().requires_grad_(False)


def precision(
    mixes: Iterable[AnnotatedMix], net: OnsetDetector, count: int, tolerance: float = 0.02
) -> dict[str, float]:
    """Per drum: the share of the `count` best onsets per mix that lie within `tolerance` s of a reference."""
    correct = dict.fromkeys(DRUMS, 0)
    total = dict.fromkeys(DRUMS, 0)
    for mix, onsets in mixes:
        likelihoods = onset_likelihoods(mix, net)
        for drum in DRUMS:
            for onset in find_onsets(mix, drum, count, likelihoods):
                total[drum] += 1
                correct[drum] += min(abs(onset.start / RATE - t) for t in onsets[drum]) <= tolerance
    return {drum: correct[drum] / max(1, total[drum]) for drum in DRUMS}


def save(net: OnsetDetector, path: Path) -> None:
    with files.atomic(path) as beside:
        safetensors.torch.save_file({n: p.contiguous() for n, p in net.state_dict().items()}, beside)
