"""Pairs of levels through random equalisers, so that a listener cannot learn its few drums by heart.

What an equaliser does to a mix it does to the drum in it: adding one curve over the bands to the excerpts and
to the one-shot's picture gives another true pair. Codes cannot be moved so; this is for the listener alone.
"""

import math

import torch
from torch import Tensor

from dose.tokens.band_energies import BANDS, CENTRES, MAX_LEVEL, STEPS_PER_DB

DB = 4.0  # standard deviation of a curve's slowest parts
BENDS = 4  # cosines over the logarithm of frequency that make a curve


def equalise_pairs(prompt: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Levels [B, FEATURES, P] and [B, BANDS, T] under one curve for each pair, each at its own top again.

    What is silent stays so. Draws from torch's generator.
    """
    octaves = torch.tensor(CENTRES, device=prompt.device).log()
    place = (octaves - octaves[0]) / (octaves[-1] - octaves[0])
    bend = torch.arange(BENDS, device=prompt.device)
    waves = torch.cos(math.pi * bend[:, None] * place)
    sizes = torch.randn(len(prompt), BENDS, device=prompt.device) * DB * STEPS_PER_DB / (1 + bend).sqrt()
    curve = (sizes @ waves)[:, :, None]
    heard = torch.cat([_moved(prompt[:, :BANDS], curve), prompt[:, BANDS:]], dim=1)
    return heard, _moved(picture, curve)


def _moved(levels: Tensor, curve: Tensor) -> Tensor:
    sounding = levels > 0
    moved = torch.where(sounding, levels + curve, 0)
    moved = moved + MAX_LEVEL - moved.amax(dim=(1, 2), keepdim=True)
    return torch.where(sounding, moved.round().clamp(0, MAX_LEVEL), 0).to(levels.dtype)
