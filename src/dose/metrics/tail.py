"""Two metrics of how a one-shot ends: what still sounds when it should be over, and how long it lasts.

Definitions: a sound's level is its RMS over 256 samples with hop 128, in dB relative to its own largest RMS.
- `tail_db`: the highest level of the generated one-shot after the reference is over, that is after the
  reference's level is below -50 dB for good, and GUARD later. Traces of other hits stand there. Floored at
  FLOOR_DB; lower is better; undefined where the reference lasts to its end or either one is silent.
- `length_error_ms`: the absolute difference of the times at which both fall below -40 dB for good. Unit: ms;
  lower is better; 0 for identical sounds; undefined for silence.
Source: this project; the levels are where a one-shot's end is no longer noticed in a sampler.
"""

import numpy as np

from dose.audio import RATE
from dose.dsp.rms import HOP, levels
from dose.metrics.one_shots import check_pairs, is_silent

OVER_DB, LENGTH_DB = -50.0, -40.0
FLOOR_DB = -80.0
GUARD = 0.02  # seconds after the reference's end; a frame that straddles the end is no trace


def tail_level(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`tail_db`, [B, N], [B, N] -> dB [B]. Raises AudioError as `check_pairs`."""
    generated, reference = check_pairs(generated, reference)
    out = np.full(len(generated), np.nan)
    for i in range(len(generated)):
        if is_silent(generated[i]) or is_silent(reference[i]):
            continue
        after = levels(generated[i])[_end(levels(reference[i]), OVER_DB) + round(GUARD * RATE / HOP) :]
        if len(after):
            out[i] = max(float(after.max()), FLOOR_DB)
    return out


def length_error(generated: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`length_error_ms`, [B, N], [B, N] -> ms [B]. Raises AudioError as `check_pairs`."""
    generated, reference = check_pairs(generated, reference)
    out = np.full(len(generated), np.nan)
    for i in range(len(generated)):
        if not (is_silent(generated[i]) or is_silent(reference[i])):
            frames = _end(levels(generated[i]), LENGTH_DB) - _end(levels(reference[i]), LENGTH_DB)
            out[i] = abs(frames) * HOP / RATE * 1000
    return out


def _end(levels: np.ndarray, threshold: float) -> int:
    """The first frame from which on the level stays below the threshold."""
    return int(np.flatnonzero(levels >= threshold)[-1]) + 1
