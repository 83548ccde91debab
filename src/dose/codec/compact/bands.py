"""Which MDCT coefficient belongs to which band, as index tensors."""

import torch
from torch import Tensor

from dose.codec import quantise
from dose.codec.compact.config import CompactConfig


class BandLayout:
    """The bands of a configuration, and which numbers share a weight in the codebook searches.

    band_of int64 [HOP]: band of each coefficient. half_of int64 [HOP - waveform_dims]: half band of each
    coefficient of the noise bands. band_sizes float64 [bands] and half_sizes int64 [half bands]: coefficients
    in each.
    """

    def __init__(self, config: CompactConfig) -> None:
        self.config = config
        sizes = torch.tensor(config.band_edges).diff()
        self.band_of = torch.repeat_interleave(torch.arange(config.bands), sizes)
        self.band_sizes = sizes.double()
        self.half_sizes = torch.tensor(config.half_band_edges).diff()
        self.half_of = torch.repeat_interleave(torch.arange(len(self.half_sizes)), self.half_sizes)
        # Coefficients share the weight of their band; each half band and each quarter has its own.
        own = torch.arange(
            config.waveform_bands, config.waveform_bands + config.fine_dims - config.waveform_dims
        )
        self.fine_weighting = quantise.Weighting(
            groups=torch.cat([self.band_of[: config.waveform_dims], own]),
            count=config.waveform_bands + len(own),
        )
        self.envelope_weighting = quantise.Weighting(groups=torch.arange(config.bands), count=config.bands)

    def coefficient_levels(self, band_db: Tensor) -> Tensor:
        """Levels float64 [F, bands] in dB to the amplitude of each coefficient, [F, HOP]."""
        amplitudes: Tensor = 10 ** (band_db / 20)
        return amplitudes[:, self.band_of]
