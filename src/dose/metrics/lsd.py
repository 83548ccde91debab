"""Log-spectral distance (LSD).

Definition: both magnitude spectrograms (2048 Hann, hop 512) in dB relative to the reference's largest
magnitude, floored at -80 dB; per frame the root mean square difference over frequency bins; the mean over
frames in which either sound exceeds the floor. Unit: dB; lower is better; 0 for identical sounds. Source:
Gray and Markel, IEEE TASSP 1976, for the root mean square over frequency; floor and frame selection are this
project's.
"""

import numpy as np
import torch

from dose.metrics.mss import magnitudes
from dose.metrics.one_shots import check_pairs

FFT = 2048
FLOOR_DB = -80.0  # a default without a study


def log_spectral_distance(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> dB [B]. Raises AudioError as `check_pairs`."""
    generated, reference = check_pairs(generated, reference)
    out = np.empty(len(generated))
    for i in range(len(generated)):
        pair = torch.from_numpy(np.stack([generated[i], reference[i]]))  # [2, N]
        levels = relative_decibels(magnitudes(pair, FFT).numpy(), FLOOR_DB)  # [2, bins, frames]
        active = (levels > FLOOR_DB).any(axis=(0, 1))  # [frames]
        # Root mean square over frequency, then the mean over time.
        per_frame = np.sqrt(np.square(levels[0] - levels[1]).mean(axis=0))
        out[i] = per_frame[active].mean() if active.any() else 0.0
    return out


def relative_decibels(pair: np.ndarray, floor_db: float) -> np.ndarray:
    """Magnitudes [2, ...] of (generated, reference) -> dB relative to the reference's maximum, floored.

    Relative to 1 where the reference is silent.
    """
    # One reference level for both sounds, so that a difference in level counts.
    top = pair[1].max() or 1.0
    levels: np.ndarray = np.maximum(20 * np.log10(np.maximum(pair / top, 1e-12)), floor_db)
    return levels
