"""Envelope distance: the difference of the two loudness curves over time.

Definition: RMS over 256 samples with hop 128, in dB relative to the reference's largest RMS, floored at -60
dB; the mean absolute difference over frames in which either sound exceeds the floor. Unit: dB; lower is
better; 0 for identical sounds. Source: this project; the sizes are defaults without a study.
"""

import numpy as np

from dose.dsp.rms import rms
from dose.metrics.lsd import relative_decibels
from dose.metrics.one_shots import check_pairs

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
