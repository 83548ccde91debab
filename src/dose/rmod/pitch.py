"""Transposes a loop without changing its length, and caches the results."""

import functools
from collections import OrderedDict

import numpy as np
import soxr
from numba import njit
from scipy import fft

from dose.audio import RATE, fit_length

FFT, HOP = 2048, 512  # samples: librosa's defaults
Array = np.ndarray


def shift_librosa(x: Array, semitones: float) -> Array:
    """The reference: float32 [N] transposed by librosa's phase vocoder."""
    import librosa

    return librosa.effects.pitch_shift(x, sr=RATE, n_steps=semitones).astype(np.float32)


def shift_fast(x: Array, semitones: float) -> Array:
    """librosa's algorithm, several times faster: float32 [N] to [N].

    A phase vocoder (Flanagan and Golden, 1966; Hann window of 2048, hop 512) stretches time, then a resampler
    changes speed. Phases are accumulated by multiplying unit phasors, which gives librosa's angles modulo 2
    pi without trigonometry, and everything is float32.
    """
    # Upwards, time is stretched first (speed < 1) and then resampled to the old length.
    speed = 2.0 ** (-semitones / 12)
    stretched = _overlap_add(_stretch(_spectrum(x), speed), round(x.size / speed))
    return fit_length(soxr.resample(stretched, RATE / speed, RATE, quality="HQ"), x.size)


@functools.cache
def _window() -> Array:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)


def _spectrum(x: Array) -> Array:
    """Complex64 [frames + 1, FFT // 2 + 1] of centred frames; the last one is silence."""
    # Centred frames: half a window of silence on both sides.
    padded = np.pad(x, FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    spectrum = fft.rfft(frames * _window(), axis=1)
    return np.concatenate([spectrum, np.zeros((1, spectrum.shape[1]), np.complex64)])


@njit(cache=True, nogil=True)
def _stretch(spectrum: Array, speed: float) -> Array:
    """The phase vocoder: complex64 [frames, bins] to [ceil((frames - 1) / speed), bins].

    Output frame t is at position t * speed: its magnitude is interpolated between the two input frames there,
    its phase is the last output phase plus the phase advance between those two frames.
    """
    frames, bins = spectrum.shape
    count = int(np.ceil((frames - 1) / speed))
    # 1. Magnitude and unit phasor of every input bin; real and imaginary parts apart, for SIMD.
    level = np.empty((frames, bins), np.float32)
    unit_re = np.empty((frames, bins), np.float32)
    unit_im = np.empty((frames, bins), np.float32)
    for t in range(frames):
        for k in range(bins):
            re, im = spectrum[t, k].real, spectrum[t, k].imag
            size = np.sqrt(re * re + im * im)
            level[t, k] = size
            scale = np.float32(1) / max(size, np.float32(1e-30))
            unit_re[t, k] = re * scale if size > 0 else np.float32(1)
            unit_im[t, k] = im * scale
    # 2. Output frames; `phase` accumulates the phase advances as a unit phasor.
    out_re = np.empty((count, bins), np.float32)
    out_im = np.empty((count, bins), np.float32)
    phase_re, phase_im = unit_re[0].copy(), unit_im[0].copy()
    for t in range(count):
        first = int(t * speed)
        part = np.float32(t * speed - first)
        rest = np.float32(1) - part
        for k in range(bins):
            size = rest * level[first, k] + part * level[first + 1, k]
            out_re[t, k] = size * phase_re[k]
            out_im[t, k] = size * phase_im[k]
            # The phase advance between the two frames: b times the conjugate of a.
            a_re, a_im = unit_re[first, k], unit_im[first, k]
            b_re, b_im = unit_re[first + 1, k], unit_im[first + 1, k]
            d_re, d_im = b_re * a_re + b_im * a_im, b_im * a_re - b_re * a_im
            re = phase_re[k] * d_re - phase_im[k] * d_im
            im = phase_re[k] * d_im + phase_im[k] * d_re
            # Back to length 1 by one Newton step for 1 / sqrt; the length is 1 but for rounding.
            scale = np.float32(1.5) - np.float32(0.5) * (re * re + im * im)
            phase_re[k] = re * scale
            phase_im[k] = im * scale
    out = np.empty((count, bins), np.complex64)
    for t in range(count):
        for k in range(bins):
            out[t, k] = complex(out_re[t, k], out_im[t, k])
    return out


def _overlap_add(spectrum: Array, length: int) -> Array:
    """The inverse STFT: complex64 [frames, bins] to float32 [length]."""
    frames = fft.irfft(spectrum, FFT, axis=1) * _window()
    return fit_length(_add(frames, _window())[FFT // 2 :], length)


@njit(cache=True, nogil=True)
def _add(frames: Array, window: Array) -> Array:
    """Weighted overlap-add: [frames, FFT] to [HOP (frames - 1) + FFT], over the sum of squared windows."""
    total = np.zeros(HOP * (frames.shape[0] - 1) + FFT, np.float32)
    # Sum of squared windows at each sample, by which overlap-add is normalised.
    weight = np.zeros(total.size, np.float32)
    for t in range(frames.shape[0]):
        for n in range(FFT):
            total[t * HOP + n] += frames[t, n]
            weight[t * HOP + n] += window[n] * window[n]
    for n in range(total.size):
        if weight[n] > np.float32(1e-8):
            total[n] /= weight[n]
    return total


METHODS = {"librosa": shift_librosa, "fast": shift_fast}


class PitchCache:
    """A least-recently-used cache of `limit` bytes. Sounds are stored as int16, half the size of float32.

    `put` returns the sound as `get` will, after rounding, so a hit and a miss give the same bytes.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self._entries: OrderedDict[tuple, tuple[Array, float]] = OrderedDict()

    def get(self, key: tuple) -> Array | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0] * np.float32(entry[1])

    def put(self, key: tuple, sound: Array) -> Array:
        """Stores the sound and returns it as `get` will."""
        # The peak is mapped to int16's largest value; silence has scale 1.
        scale = float(np.abs(sound).max(initial=0.0)) / 32767 or 1.0
        samples = np.rint(sound / np.float32(scale)).astype(np.int16)
        self._entries[key] = (samples, scale)
        self.bytes += samples.nbytes
        # Least recently used first.
        while self.bytes > self.limit and self._entries:
            _, (old, _) = self._entries.popitem(last=False)
            self.bytes -= old.nbytes
        return samples * np.float32(scale)
