"""Transposing a loop without changing its length, and remembering what was transposed."""

import functools
from collections import OrderedDict

import numpy as np
import soxr
from numba import njit
from scipy import fft

from dose.audio import RATE, fit_length

FFT, HOP = 2048, 512
Array = np.ndarray


def shift_librosa(x: Array, semitones: float) -> Array:
    """The reference: float32 [N] transposed by librosa's phase vocoder."""
    import librosa

    return librosa.effects.pitch_shift(x, sr=RATE, n_steps=semitones).astype(np.float32)


def shift_fast(x: Array, semitones: float) -> Array:
    """The reference's algorithm, several times faster: float32 [N] to [N].

    A phase vocoder stretches time (Hann window of 2048, hop 512), then a resampler changes speed. Phases are
    added up by multiplying unit phasors, which gives the reference's angles modulo a turn without any
    trigonometry, and everything is float32 in one block.
    """
    speed = 2.0 ** (-semitones / 12)
    stretched = _overlap_add(_stretch(_spectrum(x), speed), round(x.size / speed))
    return fit_length(soxr.resample(stretched, RATE / speed, RATE, quality="HQ"), x.size)


@functools.cache
def _window() -> Array:
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)).astype(np.float32)


def _spectrum(x: Array) -> Array:
    """Complex64 [frames + 1, FFT // 2 + 1], centred frames; the added last one is silent."""
    padded = np.pad(x, FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    spectrum = fft.rfft(frames * _window(), axis=1)
    return np.concatenate([spectrum, np.zeros((1, spectrum.shape[1]), np.complex64)])


@njit(cache=True, nogil=True)
def _stretch(spectrum: Array, speed: float) -> Array:
    """Frames of `spectrum` read at `speed` frames a frame; magnitudes interpolated, phases carried on."""
    frames, bins = spectrum.shape
    count = int(np.ceil((frames - 1) / speed))
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
    out_re = np.empty((count, bins), np.float32)
    out_im = np.empty((count, bins), np.float32)
    turn_re, turn_im = unit_re[0].copy(), unit_im[0].copy()
    for t in range(count):
        first = int(t * speed)
        part = np.float32(t * speed - first)
        rest = np.float32(1) - part
        for k in range(bins):
            size = rest * level[first, k] + part * level[first + 1, k]
            out_re[t, k] = size * turn_re[k]
            out_im[t, k] = size * turn_im[k]
            # The phase advance between the two frames, as a phasor, then back to length 1.
            a_re, a_im = unit_re[first, k], unit_im[first, k]
            b_re, b_im = unit_re[first + 1, k], unit_im[first + 1, k]
            d_re, d_im = b_re * a_re + b_im * a_im, b_im * a_re - b_re * a_im
            re = turn_re[k] * d_re - turn_im[k] * d_im
            im = turn_re[k] * d_im + turn_im[k] * d_re
            scale = np.float32(1.5) - np.float32(0.5) * (re * re + im * im)
            turn_re[k] = re * scale
            turn_im[k] = im * scale
    out = np.empty((count, bins), np.complex64)
    for t in range(count):
        for k in range(bins):
            out[t, k] = complex(out_re[t, k], out_im[t, k])
    return out


def _overlap_add(spectrum: Array, length: int) -> Array:
    frames = fft.irfft(spectrum, FFT, axis=1) * _window()
    return fit_length(_add(frames, _window())[FFT // 2 :], length)


@njit(cache=True, nogil=True)
def _add(frames: Array, window: Array) -> Array:
    """Overlapping frames summed and divided by the sum of the squared windows."""
    total = np.zeros(HOP * (frames.shape[0] - 1) + FFT, np.float32)
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
    """The least recently used sounds go when `limit` bytes are full. Kept as 16 bit, for twice as many.

    `get` always gives the sound as it comes out of the 16 bits, so a hit and a miss give the same bytes.
    """

    def __init__(self, limit: int):
        self.limit = limit
        self.bytes = 0
        self._kept: OrderedDict[tuple, tuple[Array, float]] = OrderedDict()

    def get(self, key: tuple) -> Array | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        self._kept.move_to_end(key)
        return kept[0] * np.float32(kept[1])

    def put(self, key: tuple, sound: Array) -> Array:
        """Keeps the sound and returns it as `get` will."""
        scale = float(np.abs(sound).max(initial=0.0)) / 32767 or 1.0
        samples = np.rint(sound / np.float32(scale)).astype(np.int16)
        self._kept[key] = (samples, scale)
        self.bytes += samples.nbytes
        while self.bytes > self.limit and self._kept:
            _, (old, _) = self._kept.popitem(last=False)
            self.bytes -= old.nbytes
        return samples * np.float32(scale)
