"""What a one-shot must be before any metric looks at it: the same for every system.

One second at 44.1 kHz, mono, from its own first sample (nothing is shifted: a late start is an error that
counts), peak at 0 dBFS (a separator's level is the mix's, so level is not scored).
"""

import numpy as np

from dose import audio
from dose.errors import AudioError

SAMPLES = audio.RATE  # 1 s
MIN_SAMPLES = 64  # the shortest analysis window of any metric
SILENCE = 1e-4  # -80 dBFS: a peak below this is silence


def prepare(shot: np.ndarray, name: str = "the one-shot", rate: int = audio.RATE) -> np.ndarray:
    """[N] or [C, N] at `rate` Hz becomes [44100] mono at 44.1 kHz with a peak of 1.0; silence stays zeros.

    Raises AudioError for what cannot be scored: not finite, too short, or not a waveform.
    """
    shot = np.asarray(shot, dtype=np.float32)
    if shot.ndim == 2:
        shot = audio.downmix(shot)
    if shot.ndim != 1:
        raise AudioError(f"{name} must be [samples] or [channels, samples], not of shape {shot.shape}.")
    if len(shot) < MIN_SAMPLES:
        raise AudioError(f"{name} has {len(shot)} samples; at least {MIN_SAMPLES} are needed to score it.")
    if not np.isfinite(shot).all():
        raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
    shot = audio.fit_length(audio.resample(shot, rate, audio.RATE), SAMPLES)
    if is_silent(shot):
        return np.zeros(SAMPLES, np.float32)
    return audio.normalise_peak(shot)


def is_silent(shot: np.ndarray) -> bool:
    return audio.peak(shot) < SILENCE


def check_pairs(generated: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float32 [B, N]; raises AudioError unless shapes agree and every sample is finite."""
    pair = tuple(np.atleast_2d(np.asarray(a, dtype=np.float32)) for a in (generated, reference))
    if pair[0].shape != pair[1].shape or pair[0].ndim != 2:
        raise AudioError(
            f"Generated and reference must both be [B, N] alike, not {pair[0].shape} and {pair[1].shape}."
        )
    if pair[0].shape[1] < MIN_SAMPLES:
        raise AudioError(f"{pair[0].shape[1]} samples are too few to score; {MIN_SAMPLES} are needed.")
    if not (np.isfinite(pair[0]).all() and np.isfinite(pair[1]).all()):
        raise AudioError("Generated or reference holds samples that are not finite numbers.")
    return pair[0], pair[1]
