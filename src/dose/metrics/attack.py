"""Attack error: how far a one-shot's start lies from the true one's, in milliseconds.

Definition: a shot starts at its first sample that reaches -20 dB of its own peak; the error is the absolute
difference of the two starts. Unit: ms; lower is better; 0 for identical sounds; not defined for silence.
Source: this project (the onset definition is that of sample editors; 10 ms is about where a flam is heard).
"""

import numpy as np

from dose.audio import RATE
from dose.metrics.shots import SILENCE, check_pairs

THRESHOLD = 0.1  # of the peak: -20 dB


def starts(shots: np.ndarray) -> np.ndarray:
    """[B, N] -> start of each in ms, NaN for a silent one."""
    loud = np.abs(np.atleast_2d(shots))
    top = loud.max(axis=1, keepdims=True)
    first = (loud >= THRESHOLD * top).argmax(axis=1) / RATE * 1000
    return np.where(top[:, 0] < SILENCE, np.nan, first)


def attack_error(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> ms [B]; NaN (to be excluded and counted) where either is silent."""
    generated, reference = check_pairs(generated, reference)
    return np.abs(starts(generated) - starts(reference))
