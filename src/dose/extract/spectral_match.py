"""A draw with its levels moved towards what the listener expects.

A draw has the grain of a drum; the listener knows from several hits how loud it is in which band at which
time, where a single draw is one guess of many. Each band of each frame is raised or lowered to the expected
level, by no more than MOST. What lies before the attack stays silent.
"""

import numpy as np
import torch
from torch import Tensor

from dose.audio import RATE
from dose.tokens import band_energies

MOST = 4.0  # 12 dB, either way
FLOOR = 0.03  # in units of `levels.loudness`: -61 dB; below, nothing is raised
SIZE, HOP = 1024, 256  # of the transform
START = 1e-3  # of the peak: where a draw begins


def match_envelope(shot: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """A one-shot [N] with the levels of the picture `expected` [BANDS, T], as far as MOST allows."""
    if not shot.any():
        return shot
    gain = (
        (np.maximum(expected, 0) + FLOOR) / (compressed_band_energies(shot[None], expected)[0] + FLOOR)
    ) ** 2
    logs = np.log(np.clip(gain, 1 / MOST, MOST))
    parts = spectrum(shot)
    each = torch.from_numpy(np.exp(on_grid(logs, parts.shape[1])).astype(np.float32))
    return sound(parts * each, shot)


def compressed_band_energies(shots: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """The pictures of one-shots [n, N] in the units of what is expected, `levels.loudness`, [n, BANDS, T]."""
    return band_energies.compress_power(
        torch.from_numpy(band_energies.quantised_spectrograms(shots, expected.shape[1]))
    ).numpy()


def spectrum(sound: np.ndarray) -> Tensor:
    """[N] to [bins, columns], complex."""
    x = torch.from_numpy(np.ascontiguousarray(sound, np.float32))
    return torch.stft(x, SIZE, HOP, window=torch.hann_window(SIZE), return_complex=True)


def sound(spectrum: Tensor, shot: np.ndarray) -> np.ndarray:
    """The way back, silent where the one-shot [N] that it was made from has not begun."""
    window = torch.hann_window(SIZE)
    out: np.ndarray = torch.istft(spectrum, SIZE, HOP, window=window, length=len(shot)).numpy()
    loud = np.abs(shot)
    out[: int(np.argmax(loud > START * loud.max(initial=0.0)))] = 0
    return out


def on_grid(values: np.ndarray, columns: int) -> np.ndarray:
    """[BANDS, T] on the codec's frames to [bins, columns] on the transform's, by straight lines over log
    frequency and time."""
    hz = np.log(np.maximum(np.fft.rfftfreq(SIZE, 1 / RATE), 1.0))
    over_hz = np.stack([np.interp(hz, np.log(band_energies.CENTRES), column) for column in values.T], axis=1)
    place = np.clip(
        (np.arange(columns) * HOP - band_energies.HOP / 2) / band_energies.HOP, 0, values.shape[1] - 1
    )
    first = np.minimum(place.astype(int), values.shape[1] - 2)
    share = place - first
    return over_hz[:, first] * (1 - share) + over_hz[:, first + 1] * share
