"""Two distances in decibels, closer to hearing than MSS: log-spectral and envelope.

Log-spectral distance: 20 log10 magnitudes (2048 Hann, hop 512) floored 80 dB under the reference's largest;
per frame the root mean square difference over bins; the mean over frames in which either sound is above the
floor. Envelope distance: RMS over 256 samples, hop 128, in dB floored 60 dB under the reference's largest;
the mean absolute difference over frames in which either is above the floor. Units: dB; lower is better.
Sources: Gray and Markel, IEEE TASSP 1976; the envelope distance is this project's.
"""

import numpy as np
import torch

from dose.metrics.mss import magnitudes
from dose.metrics.shots import check_pairs

SPECTRAL_FLOOR_DB, ENVELOPE_FLOOR_DB = -80.0, -60.0


def log_spectral_distance(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> dB [B]."""
    generated, reference = check_pairs(generated, reference)
    out = np.empty(len(generated))
    for i in range(len(generated)):
        pair = magnitudes(torch.from_numpy(np.stack([generated[i], reference[i]])), 2048).numpy()
        levels, active = _decibels(pair, SPECTRAL_FLOOR_DB, axis=1)
        per_frame = np.sqrt(np.square(levels[0] - levels[1]).mean(axis=0))
        out[i] = per_frame[active].mean() if active.any() else 0.0
    return out


def envelope_distance(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> dB [B]."""
    generated, reference = check_pairs(generated, reference)
    out = np.empty(len(generated))
    for i in range(len(generated)):
        pair = np.stack([_rms(generated[i]), _rms(reference[i])])[:, None]
        levels, active = _decibels(pair, ENVELOPE_FLOOR_DB, axis=1)
        out[i] = np.abs(levels[0, 0] - levels[1, 0])[active].mean() if active.any() else 0.0
    return out


def _rms(shot: np.ndarray, size: int = 256, hop: int = 128) -> np.ndarray:
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(shot, size // 2), size)[::hop]
    return np.sqrt(np.square(frames, dtype=np.float64).mean(axis=1))


def _decibels(pair: np.ndarray, floor_db: float, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Levels over the reference's (second's) maximum, floored, and the frames where either exceeds the floor.

    Against a silent reference the floor hangs under full scale instead.
    """
    top = pair[1].max() or 1.0
    levels = np.maximum(20 * np.log10(np.maximum(pair / top, 1e-12)), floor_db)
    return levels, (levels > floor_db).any(axis=(0, axis))
