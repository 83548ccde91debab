"""What lies inside the envelope: the waveform of the lower bands, and the level of the noise above."""

import torch
from torch import Tensor

from dose.codec.codec import HOP
from dose.codec.compact.bands import BandLayout
from dose.codec.compact.config import QUARTERS


def target(flattened: Tensor, band_db: Tensor, layout: BandLayout, dct: Tensor) -> tuple[Tensor, Tensor]:
    """What codebooks 2 to 8 describe, float64 [F, fine_dims], and its weights, [F, fine_weighting.count].

    From flattened samples [F, HOP] and quantised band levels [F, bands]: the coefficients below the noise
    bands over the envelope; the level of each half noise band relative to the envelope; and the level of the
    noise in each quarter of the frame relative to its mean. Levels are in nepers.
    """
    config = layout.config
    levels = layout.coefficient_levels(band_db)
    normalised = (flattened @ dct) / levels  # [F, HOP]
    noise = normalised[:, config.waveform_dims :]

    # Level of each half band, [F, half bands].
    power = torch.zeros(len(flattened), len(layout.half_sizes), dtype=torch.float64)
    power.index_add_(1, layout.half_of, noise.square())
    half_levels = (power / layout.half_sizes + 1e-6).log() / 2

    # Level of the noise in each quarter: back to the time domain with the upper bands only, [F, QUARTERS].
    in_time = (noise * levels[:, config.waveform_dims :]) @ dct[config.waveform_dims :]
    energy = in_time.reshape(-1, QUARTERS, HOP // QUARTERS).square().mean(-1) + 1e-12
    quarter_levels = (energy / energy.mean(-1, keepdim=True) + 1e-3).log() / 2
    described = torch.cat(
        [normalised[:, : config.waveform_dims], half_levels.clamp(-2, 2), quarter_levels], dim=-1
    )

    # Weight of a band: its power relative to the loudest band, compressed by `weight_exponent`. A half band
    # counts with its number of coefficients; a quarter with a quarter of all noise weight.
    loudness = 10 ** (config.weight_exponent * (band_db - band_db.amax(-1, keepdim=True)) / 10)
    noise_weights = loudness[:, config.waveform_bands :].repeat_interleave(2, dim=-1)
    noise_weights = noise_weights * layout.half_sizes * config.noise_detail_weight
    quarter_weights = (noise_weights.sum(-1, keepdim=True) / QUARTERS).expand(-1, QUARTERS)
    weights = torch.cat([loudness[:, : config.waveform_bands], noise_weights, quarter_weights], dim=-1)
    return described, weights


def synthesise(fine: Tensor, band_db: Tensor, noise: Tensor, layout: BandLayout, dct: Tensor) -> Tensor:
    """Folded samples [F, HOP] from decoded numbers [F, fine_dims], levels [F, bands] and noise [F, HOP].

    Inverse of `target` except for the noise, whose signs are not coded.
    """
    dims, levels = layout.config.waveform_dims, layout.coefficient_levels(band_db)
    # Bounded, because a language model may combine codes that no sound has.
    half_levels, quarters = fine[:, dims:-QUARTERS].clamp(-3, 3), fine[:, -QUARTERS:].clamp(-4, 2).exp()
    upper = noise[:, dims:] * levels[:, dims:] * half_levels.exp()[:, layout.half_of]
    # The quarters' gains change the course of the noise and not its energy.
    quarters = quarters / quarters.square().mean(-1, keepdim=True).sqrt()
    shaped = (upper @ dct[dims:]) * quarters.repeat_interleave(HOP // QUARTERS, dim=-1)
    lower: Tensor = (fine[:, :dims] * levels[:, :dims]) @ dct[:dims]
    return lower + shaped
