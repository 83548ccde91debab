"""EQ augmentation of band-energy pairs: the condition encoder must not memorise the few recorded drums.

An equaliser changes a mix and the drum in it alike: the same curve over the bands, added to the segments and
to the one-shot's spectrogram, gives another valid pair. Codec tokens cannot be changed so; this serves the
encoder's pre-training alone.
"""

import math

import torch
from torch import Tensor

from dose.tokens.band_energies import BANDS, CENTRES, MAX_LEVEL, STEPS_PER_DB

DB = 4.0  # standard deviation of a curve's slowest component; a default without a study
COMPONENTS = 4  # cosines over log frequency that make a curve; a default without a study


def augment_eq(prompt: Tensor, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
    """Band energies [B, FEATURES, P] and [B, BANDS, T] under one random curve per pair, each renormalised to
    its own maximum.

    Silent positions stay silent. Uses torch's global generator.
    """
    # 1. Band centres to 0..1 on a logarithmic axis. [BANDS]
    octaves = torch.tensor(CENTRES, device=prompt.device).log()
    place = (octaves - octaves[0]) / (octaves[-1] - octaves[0])
    # 2. A random sum of cosines per pair; faster components get smaller weights. [B, BANDS, 1]
    component = torch.arange(COMPONENTS, device=prompt.device)
    cosines = torch.cos(math.pi * component[:, None] * place)
    deviation = DB * STEPS_PER_DB
    weights = torch.randn(len(prompt), COMPONENTS, device=prompt.device) * deviation / (1 + component).sqrt()
    curve = (weights @ cosines)[:, :, None]
    # 3. Apply it to the bands; the prompt's last feature is the onset's likelihood.
    segments = torch.cat([_apply_curve(prompt[:, :BANDS], curve), prompt[:, BANDS:]], dim=1)
    return segments, _apply_curve(spectrogram, curve)


def _apply_curve(energies: Tensor, curve: Tensor) -> Tensor:
    """Quantised energies [B, BANDS, T] plus a curve [B, BANDS, 1], the maximum at MAX_LEVEL again."""
    sounding = energies > 0
    shifted = torch.where(sounding, energies + curve, 0)
    shifted = shifted + MAX_LEVEL - shifted.amax(dim=(1, 2), keepdim=True)
    return torch.where(sounding, shifted.round().clamp(0, MAX_LEVEL), 0).to(energies.dtype)
