"""The form into which every one-shot is brought before it is scored, the same for every system.

One second at 44.1 kHz, mono, from its own first sample (nothing is aligned: a late start counts as an error),
peak at 0 dBFS (a separator returns the level that a drum has in the mix, so level is not scored).
"""

import numpy as np

from dose import audio
from dose.errors import AudioError

SAMPLES = audio.RATE  # 1 s
MIN_SAMPLES = 64  # the shortest analysis window of any metric
SILENCE = 1e-4  # -80 dBFS: a lower peak counts as silence


def prepare(shot: np.ndarray, name: str = "the one-shot", rate: int = audio.RATE) -> np.ndarray:
    """[N] or [C, N] at `rate` Hz -> float32 [44100], mono at 44.1 kHz with a peak of 1; silence gives zeros.

    Raises AudioError, with `name` in it, for what cannot be scored: not finite, too short, not a waveform.
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
    # Cut or zero-padded after resampling, so that the length is the same whatever the rate was.
    shot = audio.fit_length(audio.resample(shot, rate, audio.RATE), SAMPLES)
    # Scaling silence to a peak of 1 would score its noise.
    if is_silent(shot):
        return np.zeros(SAMPLES, np.float32)
    return audio.normalise_peak(shot)


def is_silent(shot: np.ndarray) -> bool:
    return audio.peak(shot) < SILENCE


def check_pairs(generated: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float32 [B, N], from [B, N] or [N].

    Raises AudioError unless the shapes agree, N is at least MIN_SAMPLES and every sample is finite.
    """
    x, y = (np.atleast_2d(np.asarray(a, dtype=np.float32)) for a in (generated, reference))
    if x.shape != y.shape or x.ndim != 2:
        raise AudioError(
            f"Generated and reference must both be [B, N] of one shape, not {x.shape} and {y.shape}."
        )
    if x.shape[1] < MIN_SAMPLES:
        raise AudioError(f"{x.shape[1]} samples are too few to score; {MIN_SAMPLES} are needed.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise AudioError("Generated or reference holds samples that are not finite numbers.")
    return x, y
