"""Sample arrays [N] or [C, N]: resampling, downmix, levels, lengths and fades."""

import numpy as np
import numpy.typing as npt
import soxr

RATE = 44100  # Hz, of every array in this project unless a function says otherwise
# Level of the mean of the channels against the loudest channel, in dB. Independent channels give -3 dB, a
# sound in one of two channels -6 dB; below -20 dB the channels have opposite polarity and cancel each other.
CANCELLATION_DB = -20.0

Array = npt.NDArray[np.float32]


def resample(audio: Array, from_rate: int, to_rate: int) -> Array:
    """Band-limited (soxr, high quality) along the last axis: [..., N] to [..., ceil(N * to / from)]."""
    if from_rate == to_rate:
        return audio
    resampled: Array = soxr.resample(audio.T, from_rate, to_rate, quality="HQ").T
    return resampled.astype(np.float32, copy=False)


def downmix(audio: Array) -> Array:
    """[C, N] to mono [N]: the mean of the channels, unless they cancel each other. [N] stays as it is.

    Where they do (CANCELLATION_DB), two channels give half their difference, which is the mean after one of
    them has its polarity reversed; more than two give the loudest.
    """
    if audio.ndim == 1:
        return audio
    # Energies instead of levels: the squared ratio of amplitudes, without a square root per channel.
    mean: Array = audio.mean(axis=0)
    energies = [float(np.vdot(channel, channel)) for channel in audio]
    if len(audio) == 1 or float(np.vdot(mean, mean)) >= 10 ** (CANCELLATION_DB / 10) * max(energies):
        return mean
    if len(audio) == 2:
        difference: Array = 0.5 * (audio[0] - audio[1])
        return difference
    loudest: Array = audio[int(np.argmax(energies))]
    return loudest


def db(ratio: float | npt.NDArray[np.floating]) -> float | npt.NDArray[np.floating]:
    """Amplitude ratio to decibels; 0 becomes -200 dB rather than minus infinity."""
    return 20 * np.log10(np.maximum(ratio, 1e-10))


def from_db(level: float | npt.NDArray[np.floating]) -> float | npt.NDArray[np.floating]:
    """Decibels to an amplitude ratio."""
    return 10 ** (np.asarray(level) / 20)


def peak(audio: Array) -> float:
    """The largest magnitude; 0 for an empty array."""
    return float(np.abs(audio).max(initial=0.0))


def normalise_peak(audio: Array, level_db: float = 0.0) -> Array:
    """Scales so that the largest sample lies at `level_db` dBFS; silence stays silence."""
    top = peak(audio)
    return audio if top == 0 else (audio * (from_db(level_db) / top)).astype(np.float32)


def fit_length(audio: Array, samples: int) -> Array:
    """Cuts or zero-pads the last axis to `samples`."""
    if audio.shape[-1] >= samples:
        return audio[..., :samples]
    # Only the last axis is padded, at its end.
    pad = [(0, 0)] * (audio.ndim - 1) + [(0, samples - audio.shape[-1])]
    return np.pad(audio, pad)


def fade_out(audio: Array, samples: int) -> Array:
    """A half-cosine fade over the last `samples`."""
    samples = min(samples, audio.shape[-1])
    if samples <= 0:
        return audio
    out = audio.copy()
    out[..., -samples:] *= 0.5 * (1 + np.cos(np.linspace(0, np.pi, samples, dtype=np.float32)))
    return out


def lead_in(audio: Array, threshold_db: float = -40.0) -> int:
    """Samples before the first one that reaches `threshold_db` below the peak; 0 for silence."""
    magnitude = np.abs(audio) if audio.ndim == 1 else np.abs(audio).max(axis=0)
    top = magnitude.max(initial=0.0)
    return int(np.argmax(magnitude >= top * from_db(threshold_db))) if top > 0 else 0
