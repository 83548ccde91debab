"""Fits the second pass: per class some perceptrons that differ by their seed, then one threshold for all."""

import dataclasses

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dose.transcription.calibrate import GRID, slope
from dose.transcription.config import SecondPassConfig
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.second_pass.features import COUNT
from dose.transcription.second_pass.scorer import SecondPass, standardised
from dose.transcription.second_pass_training.rows import Rows

MEMBERS, HIDDEN = 3, 32  # perceptrons per class, and units of each hidden layer; by hand
# Noise on the standardised features and dropout, chosen on the validation kits: without them a second pass
# for the training kits comes out, on which the network is surer than on others.
NOISE, DROPOUT = 0.3, 0.2
BATCH, LEARNING_RATE, WEIGHT_DECAY = 256, 3e-3, 0.05
CLIPPED = 1e-3  # least scale of a feature that hardly varies


def fit(rows: Rows, config: SecondPassConfig) -> SecondPass:
    """Trains on `rows`; not calibrated yet."""
    per_class = [_fit_class(rows, c, config) for c in range(len(HIT_CLASSES))]
    mean, scale, first, second, last = (np.stack(parts) for parts in zip(*per_class, strict=True))
    ones, zeros = np.ones(len(HIT_CLASSES)), np.zeros(len(HIT_CLASSES))
    return SecondPass(mean=mean, scale=scale, first=first, second=second, last=last, slope=ones, shift=zeros)


def calibrate(fitted: SecondPass, rows: Rows) -> SecondPass:
    """With slope and shift such that .5 is the threshold with the best F on `rows`, class by class."""
    slopes, shifts = np.ones(len(HIT_CLASSES)), np.zeros(len(HIT_CLASSES))
    for c in range(len(HIT_CLASSES)):
        own = rows.cls == c
        logits, correct = fitted.logits(rows.x[own], c), rows.correct[own]
        cuts = np.log(GRID / (1 - GRID))
        best = max(cuts, key=lambda cut: _f(logits >= cut, correct, int(rows.references[c])))
        shifts[c] = -best
        slopes[c] = slope(logits - best, correct)
    return dataclasses.replace(fitted, slope=slopes, shift=shifts)


def scores(fitted: SecondPass, rows: Rows) -> dict[str, float]:
    """ "f_<class>": onset F at 50 ms on `rows`, by the second pass."""
    out = {}
    for c, name in enumerate(HIT_CLASSES):
        own = rows.cls == c
        estimated = fitted.logits(rows.x[own], c) >= 0
        out[f"f_{name}"] = round(_f(estimated, rows.correct[own], int(rows.references[c])), 4)
    return out


def _f(estimated: np.ndarray, correct: np.ndarray, references: int) -> float:
    return float(2 * (estimated & correct).sum() / max(estimated.sum() + references, 1))


def _fit_class(rows: Rows, cls: int, config: SecondPassConfig) -> tuple[np.ndarray, ...]:
    """Mean and scale of the features, [COUNT] each, and three layers of all members."""
    # Candidates at inaudible hits are neither right nor wrong.
    own = (rows.cls == cls) & rows.counted
    x = rows.x[own]
    if not len(x):  # a class that no mix has, at the tiny scale: always improbable
        x, correct = np.zeros((2, COUNT), np.float32), np.zeros(2, bool)
    else:
        correct = rows.correct[own]
    with np.errstate(all="ignore"):
        empty = np.isnan(x).all(axis=0)
        mean = np.where(empty, 0.0, np.nanmean(np.where(empty, 0.0, x), axis=0))
        scale = np.where(empty, 1.0, np.nanstd(np.where(empty, 0.0, x), axis=0)) + CLIPPED
    z = torch.from_numpy(standardised(x, mean, scale))
    y = torch.from_numpy(correct.astype(np.float32))
    members = [_member(z, y, config, seed) for seed in range(config.seed, config.seed + MEMBERS)]
    layers = [np.stack([m[i].numpy() for m in members]) for i in range(3)]
    return (mean, scale, *layers)


def _member(z: Tensor, y: Tensor, config: SecondPassConfig, seed: int) -> list[Tensor]:
    """The layers of one perceptron: [F + 1, H], [H + 1, H], [H + 1, 1], with the bias as the last row."""
    generator = torch.Generator().manual_seed(seed)
    sizes = ((COUNT, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, 1))
    layers = [torch.randn(a, b, generator=generator) * (2 / a) ** 0.5 for a, b in sizes]
    layers = [torch.cat([w, torch.zeros(1, w.shape[1])]).requires_grad_(True) for w in layers]
    steps = config.epochs * -(-len(y) // BATCH)
    optimiser = torch.optim.AdamW(layers, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=max(steps, 2))

    def dropped(x: Tensor) -> Tensor:
        kept = torch.rand(x.shape, generator=generator) >= DROPOUT
        return x * kept / (1 - DROPOUT)

    for _ in range(steps):
        chosen = torch.randint(0, len(y), (BATCH,), generator=generator)
        x = z[chosen] + NOISE * torch.randn(BATCH, COUNT, generator=generator)
        for layer in layers[:2]:
            x = dropped(F.relu(x @ layer[:-1] + layer[-1]))
        logits = (x @ layers[2][:-1] + layers[2][-1])[:, 0]
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(logits, y[chosen]).backward()
        optimiser.step()
        schedule.step()
    return [layer.detach() for layer in layers]
