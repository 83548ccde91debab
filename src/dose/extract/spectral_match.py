"""Spectral envelope matching: moves a sample's band energies to those the condition encoder expects.

The expected band-energy spectrogram averages what several onsets show of the drum; a single sample of the
language model is one guess. Gains per band and frame move the sample to the expectation, up to MAX_GAIN, and
leave its fine structure (the phases) as it is. What lies before the attack stays silent.
"""

import numpy as np
import torch
from torch import Tensor

from dose.dsp.stft import interpolate_bands, istft, stft
from dose.tokens import band_energies

MAX_GAIN = 4.0  # 12 dB up or down, so that a wrong expectation cannot turn one sound into another; by hand
FLOOR = 0.03  # in the units of `compress_power`: -61 dB; quieter bands are not raised
ATTACK_LEVEL = 1e-3  # of the peak (-60 dB): a sample begins where it exceeds this


def match_envelope(shot: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """A one-shot [N] with its band energies moved to `expected` [BANDS, T], at most by MAX_GAIN."""
    if not shot.any():
        return shot
    # Ratio of compressed energies [BANDS, T]; squared, because `compress_power` gives roots of magnitudes.
    gain = (
        (np.maximum(expected, 0) + FLOOR) / (compressed_band_energies(shot[None], expected)[0] + FLOOR)
    ) ** 2
    log_gain = np.log(np.clip(gain, 1 / MAX_GAIN, MAX_GAIN))
    spectrum = stft(shot)  # [bins, columns]
    # Interpolated as logarithms, so that a rise and a fall of equal size cancel.
    gains = torch.from_numpy(np.exp(to_stft_grid(log_gain, spectrum.shape[1])).astype(np.float32))
    return silence_before_attack(istft(spectrum * gains, len(shot)), shot)


def compressed_band_energies(shots: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """One-shots [n, N] as spectrograms in the units and length of `expected` [..., T]: [n, BANDS, T]."""
    return band_energies.compress_power(
        torch.from_numpy(band_energies.quantised_spectrograms(shots, expected.shape[1]))
    ).numpy()


def silence_before_attack(processed: np.ndarray, shot: np.ndarray) -> np.ndarray:
    """Zeroes `processed` [N] before the attack of the one-shot [N] it was made from: gains ring both ways."""
    magnitude = np.abs(shot)
    processed[: int(np.argmax(magnitude > ATTACK_LEVEL * magnitude.max(initial=0.0)))] = 0
    return processed


def stft_gains(values: np.ndarray, columns: int) -> Tensor:
    """`to_stft_grid` as float32, to be multiplied with a spectrum of `dsp.stft`."""
    return torch.from_numpy(to_stft_grid(values, columns).astype(np.float32))


def to_stft_grid(values: np.ndarray, columns: int) -> np.ndarray:
    """Values per band and codec frame [BANDS, T] on the grid of `dsp.stft`, [bins, columns]."""
    return interpolate_bands(values, band_energies.CENTRES, band_energies.HOP, columns)
