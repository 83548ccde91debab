"""The short-time Fourier transform in which masks and gains are applied, and gains on its grid."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dose.audio import RATE

SIZE, HOP = 1024, 256  # samples: a Hann window with 75 % overlap, which inverts exactly


def stft(audio: np.ndarray) -> Tensor:
    """Mono [N] to complex [SIZE // 2 + 1, columns], columns = N // HOP + 1, centred on t * HOP."""
    x = torch.from_numpy(np.ascontiguousarray(audio, np.float32))
    return torch.stft(x, SIZE, HOP, window=torch.hann_window(SIZE), return_complex=True)


def istft(spectrum: Tensor, length: int) -> np.ndarray:
    """The inverse: complex [SIZE // 2 + 1, columns] to mono float32 [length]."""
    window = torch.hann_window(SIZE)
    audio: np.ndarray = torch.istft(spectrum, SIZE, HOP, window=window, length=length).numpy()
    return audio


def interpolate_bands(values: np.ndarray, centres: Sequence[float], hop: int, columns: int) -> np.ndarray:
    """Values per band and frame [bands, T], T >= 2, on this transform's grid: [SIZE // 2 + 1, columns].

    `centres` [bands] are the bands' frequencies in Hz; frame t is centred on sample (t + 0.5) * hop. Linear
    over log frequency and over time, constant beyond the first and last band and frame.
    """
    # Over frequency: [bands, T] -> [bins, T]. Bin 0 counts as 1 Hz, because log 0 does not exist.
    log_hz = np.log(np.maximum(np.fft.rfftfreq(SIZE, 1 / RATE), 1.0))
    over_hz = np.stack([np.interp(log_hz, np.log(centres), frame) for frame in values.T], axis=1)
    # Over time: [bins, T] -> [bins, columns], between the two frames around each column's centre.
    position = np.clip((np.arange(columns) * HOP - hop / 2) / hop, 0, values.shape[1] - 1)
    left = np.minimum(position.astype(int), values.shape[1] - 2)
    share = position - left
    over_time: np.ndarray = over_hz[:, left] * (1 - share) + over_hz[:, left + 1] * share
    return over_time
