"""Rotary positions (RoPE, arXiv 2104.09864), in the variant that pairs dimension i with i + half."""

import torch
from torch import Tensor

BASE = 10000.0  # of the frequencies, the paper's


def rotations(positions: Tensor, head_size: int) -> Tensor:
    """Positions [S] to the cosines and sines of their angles: [2, S, head size / 2]."""
    half = head_size // 2
    frequency = BASE ** (-torch.arange(half, device=positions.device) / half)
    angle = positions[:, None] * frequency
    return torch.stack([angle.cos(), angle.sin()])


def rotate(x: Tensor, rotation: Tensor) -> Tensor:
    """Rotates the pairs (i, i + half) of x [B, H, S, head size] by the angles [2, S, head size / 2]."""
    cos, sin = rotation.to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
