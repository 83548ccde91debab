"""Envelope distance: the difference of the two loudness curves over time.

Definition: RMS over 256 samples with hop 128, in dB relative to the reference's largest RMS, floored at -60
dB; the mean absolute difference over frames in which either sound exceeds the floor. Unit: dB; lower is
better; 0 for identical sounds. Source: this project; the sizes are defaults without a study.
"""

import numpy as np

from dose.metrics.lsd import relative_decibels
from dose.metrics.one_shots import check_pairs

WINDOW, HOP = 256, 128  # 5.8 ms and 2.9 ms
FLOOR_DB = -60.0


def envelope_distance(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> dB [B]. Raises AudioError as `check_pairs`."""
    generated, reference = check_pairs(generated, reference)
    out = np.empty(len(generated))
    for i in range(len(generated)):
        levels = relative_decibels(np.stack([rms(generated[i]), rms(reference[i])]), FLOOR_DB)  # [2, frames]
        # Frames in which both are silent would lower the mean of a short one-shot.
        active = (levels > FLOOR_DB).any(axis=0)
        out[i] = np.abs(levels[0] - levels[1])[active].mean() if active.any() else 0.0
    return out


def rms(shot: np.ndarray) -> np.ndarray:
    """[N] -> [frames], frames centred on multiples of HOP."""
    padded = np.pad(shot, WINDOW // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]  # [frames, WINDOW]
    rms: np.ndarray = np.sqrt(np.square(frames, dtype=np.float64).mean(axis=1))
    return rms
