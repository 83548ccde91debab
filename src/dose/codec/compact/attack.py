"""Hits that begin inside a frame: found, described as a level curve, and divided out of the samples.

Without this the quantiser would spread the hit's energy over the whole frame, an audible pre-echo. AAC's gain
control and temporal noise shaping (ISO/IEC 13818-7) treat the same problem.
"""

import torch
from torch import Tensor

from dose.codec import frames
from dose.codec.codec import HOP, SILENCE_PEAK
from dose.codec.compact.config import STEP_SAMPLES, STEPS, CompactConfig

# Samples this far below the level that the hit reaches are silenced. No study.
GATE_DB = -48.0


def analyse(
    audio: Tensor, start: int, stop: int, curves: Tensor, config: CompactConfig
) -> tuple[Tensor, Tensor]:
    """Frames `start`..`stop` of [B, N]: folded samples [B, T, HOP] and each frame's curve, int64 [B, T].

    `curves` [J, STEPS] are the known curves in dB. Index 0 is no hit, 1 a hit right at the boundary (both are
    flat), the others are hits inside the frame.
    """
    overlap, total = config.overlap, -(-audio.shape[-1] // HOP)
    more = min(stop + 1, total)  # the right neighbour decides whether the last boundary is hard
    samples = frames.frame_samples(audio, overlap, start - 1, more)
    unfolded = frames.between_boundaries(samples, overlap)  # [B, T + 1 or T + 2, HOP]
    measured, rises = attack_curve(unfolded[:, 1:], unfolded[:, :-1], config)
    samples = samples[:, HOP:]
    # The nearest known curve in dB; frames without a rise get index 0.
    nearest = torch.cdist(measured.reshape(-1, STEPS), curves[1:].double()).argmin(-1) + 1
    attack = nearest.reshape(rises.shape).where(rises, torch.zeros(()).long())
    folded = frames.fold(samples, overlap, hard_boundaries(attack > 0, more == total))
    return folded[:, : stop - start], attack[:, : stop - start]


def attack_curve(inside: Tensor, before: Tensor, config: CompactConfig) -> tuple[Tensor, Tensor]:
    """Level curve of each frame, dB [..., STEPS], 0 = its highest level; and whether it rises, bool [...].

    `inside` are the samples between the frame's boundaries, `before` those of the frame before, [..., HOP]
    each. The curve is a running maximum that begins with the frame before. A rise smaller than
    `attack_min_db` counts as none, so that the period of a low note is not described as hits.
    """
    power = inside.unflatten(-1, (STEPS, STEP_SAMPLES)).square().mean(-1)  # [..., STEPS]
    previous = before.unflatten(-1, (STEPS, STEP_SAMPLES)).square().mean(-1).amax(-1, keepdim=True)
    running = torch.cat([previous, power], dim=-1).cummax(-1).values  # [..., 1 + STEPS]
    db = 10 * torch.log10(running / running[..., -1:].clamp_min(1e-12) + 1e-9)
    rises = (db[..., 0] < -config.attack_min_db) & (running[..., -1] > SILENCE_PEAK**2)
    return db[..., 1:].clamp_min(GATE_DB).where(rises[..., None], torch.zeros(()).double()), rises


def attack_gain(curve: Tensor) -> Tensor:
    """Level curves [F, STEPS] in dB to a gain per sample, float64 [F, HOP]; 0 within 6 dB of the gate."""
    gain: Tensor = 10 ** (curve.double() / 20)
    gain = gain.where(curve > GATE_DB + 6, torch.zeros(()).double())
    return gain.repeat_interleave(STEP_SAMPLES, dim=-1)


def hard_boundaries(rises: Tensor, end: bool) -> Tensor:
    """Bool [B, T] to [B, T + 1]: hard before every frame with a hit, and (`end`) at the end of the sound."""
    return torch.cat([rises, torch.full_like(rises[:, :1], end)], dim=-1)
