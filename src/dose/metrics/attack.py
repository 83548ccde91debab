"""Attack error: the distance in time between the attack of a generated one-shot and that of its reference.

Definition: the attack of a one-shot is its first sample of at least -20 dB relative to its own peak; the
error is the absolute difference of the two attack times. Unit: ms; lower is better; 0 for identical sounds;
undefined for silence. Source: this project, after the onset definition of sample editors. About 10 ms is the
difference at which two hits are perceived as a flam.
"""

import numpy as np

from dose.audio import RATE
from dose.metrics.one_shots import SILENCE, check_pairs

# Relative to the peak: -20 dB. Part of the metric's definition, chosen by hand without a study.
THRESHOLD = 0.1


def attack_ms(shots: np.ndarray) -> np.ndarray:
    """Attack time of each one-shot, [B, N] (or [N]) -> ms [B]; NaN for a silent one."""
    magnitude = np.abs(np.atleast_2d(shots))
    peak = magnitude.max(axis=1, keepdims=True)  # [B, 1]
    # argmax of a boolean array is the index of its first True.
    time: np.ndarray = (magnitude >= THRESHOLD * peak).argmax(axis=1) / RATE * 1000
    return np.where(peak[:, 0] < SILENCE, np.nan, time)


def attack_error(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """[B, N], [B, N] -> ms [B]; NaN where either one-shot is silent. Raises AudioError as `check_pairs`."""
    generated, reference = check_pairs(generated, reference)
    error: np.ndarray = np.abs(attack_ms(generated) - attack_ms(reference))
    return error
