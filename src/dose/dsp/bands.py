"""Band energies at two time-frequency resolutions: a long window for low bands, a short one for high.

Low drums lie within a few tens of hertz of each other, which only a long window separates; a hi-hat's onset
lasts a few milliseconds, which only a short window places. `tokens.band_energies` (on the codec's frames) and
`transcription.front_end` (100 frames per second) are two configurations of this front end.
"""

import dataclasses
import functools
import itertools
from typing import Literal

import numpy as np
import torch
from torch import Tensor

# Hz, as in dose.audio, which training must not import: it loads the sound file libraries.
RATE = 44100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resolution:
    """One short-time Fourier transform and the bands read from it. Either `edges` or `bins` is given."""

    size: int  # samples: window and transform length
    edges: tuple[float, ...] = ()  # Hz, ascending: band b sums the bins in [edges[b], edges[b + 1])
    bins: tuple[int, ...] = ()  # each of these bins is a band of its own

    @property
    def bands(self) -> int:
        return len(self.bins) or len(self.edges) - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class BandFrontEnd:
    """Power in bands of mono audio at 44.1 kHz; the bands of `resolutions` stand one after the other."""

    resolutions: tuple[Resolution, ...]
    hop: int  # samples
    # Where the window of frame t is centred: on sample t * hop, or in the middle of samples [t, t + 1) * hop.
    centre: Literal["hop_start", "hop_middle"]
    normalise: bool  # divide by the window's energy, so that white noise has one level at every size

    @property
    def bands(self) -> int:
        return sum(resolution.bands for resolution in self.resolutions)

    def power(self, audio: Tensor) -> Tensor:
        """[B, N] to [B, bands, T]; T = N // hop + 1 for "hop_start" and N // hop for "hop_middle"."""
        return torch.cat([self._power(audio, resolution) for resolution in self.resolutions], dim=1)

    def _power(self, audio: Tensor, resolution: Resolution) -> Tensor:
        size = resolution.size
        # Zeros on both sides put the centre of window 0 where `centre` wants it.
        side = size // 2 if self.centre == "hop_start" else (size - self.hop) // 2
        window = torch.hann_window(size)
        padded = torch.nn.functional.pad(audio, (side, side))
        spectrum = torch.stft(padded, size, self.hop, window=window, center=False, return_complex=True)
        # [B, size // 2 + 1, T]; `abs` would take a root that is squared again.
        power = spectrum.real.square() + spectrum.imag.square()
        if self.normalise:
            power = power / window.square().sum()
        if resolution.bins:
            return power[:, list(resolution.bins)]
        energies: Tensor = _band_matrix(size, resolution.edges) @ power
        return energies


@functools.cache
def band_bins(size: int, edges: tuple[float, ...]) -> np.ndarray:
    """Boolean [bands, size // 2 + 1]: whether a bin's frequency lies in a band, its lower edge included.

    A band that is narrower than the distance of two bins takes the bin nearest to its middle.
    """
    frequencies = np.arange(size // 2 + 1) * RATE / size  # Hz
    bands = list(itertools.pairwise(edges))
    rows = [(frequencies >= low) & (frequencies < high) for low, high in bands]
    for row, (low, high) in zip(rows, bands, strict=True):
        row[np.abs(frequencies - (low + high) / 2).argmin()] = True
    return np.array(rows)


@functools.cache
def _band_matrix(size: int, edges: tuple[float, ...]) -> Tensor:
    """`band_bins` as float32, to sum bins into bands by a matrix product."""
    return torch.tensor(band_bins(size, edges), dtype=torch.float32)
