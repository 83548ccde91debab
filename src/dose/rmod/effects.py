"""The mixing desk's effects as float32 kernels, compiled once and kept on disk.

All are mono [N] in, mono [N] out: a bank's clips are mono, and what makes a track stereo (pan, reverb) comes
last. No fast-math: sums keep their order, so the same input gives the same bytes in every process.
"""

import math

import numpy as np
from numba import njit

from dose.audio import RATE

RMS_FLOOR = 1e-6  # quieter than -120 dBFS counts as silence
Array = np.ndarray
Real = float | np.float32


def peak_filter(hz: float, gain_db: float, q: float) -> Array:
    """Biquad [b0, b1, b2, a1, a2] of a peaking equaliser (Bristow-Johnson's cookbook)."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    alpha, cos = math.sin(w) / (2 * q), math.cos(w)
    b = (1 + alpha * a, -2 * cos, 1 - alpha * a)
    return _normal(b, (1 + alpha / a, -2 * cos, 1 - alpha / a))


def low_shelf(hz: float, gain_db: float, q: float) -> Array:
    """Biquad [b0, b1, b2, a1, a2] of a low shelf (Bristow-Johnson's cookbook)."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    cos, root = math.cos(w), math.sin(w) * math.sqrt(a) / q
    up, down = a + 1, a - 1
    b = (a * (up - down * cos + root), 2 * a * (down - up * cos), a * (up - down * cos - root))
    return _normal(b, (up + down * cos + root, -2 * (down + up * cos), up + down * cos - root))


def high_shelf(hz: float, gain_db: float, q: float) -> Array:
    """Biquad [b0, b1, b2, a1, a2] of a high shelf (Bristow-Johnson's cookbook)."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    cos, root = math.cos(w), math.sin(w) * math.sqrt(a) / q
    up, down = a + 1, a - 1
    b = (a * (up + down * cos + root), -2 * a * (down + up * cos), a * (up + down * cos - root))
    return _normal(b, (up - down * cos + root, 2 * (down - up * cos), up - down * cos - root))


def high_pass(hz: float) -> Array:
    """First-order high-pass as a biquad, bilinear."""
    k = math.tan(math.pi * hz / RATE)
    return _normal((1, -1, 0), (1 + k, k - 1, 0))


def low_pass(hz: float) -> Array:
    """First-order low-pass as a biquad, bilinear."""
    k = math.tan(math.pi * hz / RATE)
    return _normal((k, k, 0), (1 + k, k - 1, 0))


def _normal(b: tuple[float, float, float], a: tuple[float, float, float]) -> Array:
    return np.array([b[0], b[1], b[2], a[1], a[2]]) / a[0]


@njit(cache=True, nogil=True)
def biquads(x: Array, coefficients: Array) -> Array:
    """x float32 [N] through float32 [K, 5] sections in a row."""
    y = x.copy()
    for k in range(coefficients.shape[0]):
        b0, b1, b2, a1, a2 = coefficients[k]
        s1 = np.float32(0)
        s2 = np.float32(0)
        for n in range(y.size):
            v = y[n]
            out = b0 * v + s1
            s1 = b1 * v - a1 * out + s2
            s2 = b2 * v - a2 * out
            y[n] = out
    return y


@njit(cache=True, nogil=True)
def rms(x: Array) -> float:
    """Root mean square; 1024 at a time in float32, then in float64."""
    total: Real = 0.0
    for start in range(0, x.size, 1024):
        part: Real = np.float32(0)
        for n in range(start, min(start + 1024, x.size)):
            part += x[n] * x[n]
        total += part
    return math.sqrt(total / max(x.size, 1))


@njit(cache=True, nogil=True)
def compress(x: Array, threshold_db: float, attack_ms: float, release_ms: float, ratio: float) -> Array:
    """Feed-forward compressor: level in dB, hard knee, then attack and release smooth the reduction.

    (Giannoulis, Massberg and Reiss 2012: log-domain detector, branching smoother.)
    """
    slope = np.float32(1 - 1 / ratio)
    threshold = np.float32(threshold_db)
    attack = np.float32(math.exp(-1 / (0.001 * RATE * attack_ms)))
    release = np.float32(math.exp(-1 / (0.001 * RATE * release_ms)))
    y = np.empty_like(x)
    smooth: Real = np.float32(0)
    for n in range(x.size):
        level = np.float32(20) * np.log10(max(abs(x[n]), np.float32(1e-6)))
        over = max(level - threshold, np.float32(0)) * slope
        keep = attack if over > smooth else release
        smooth = over + keep * (smooth - over)
        y[n] = x[n] * np.float32(10) ** (smooth * np.float32(-0.05))
    return y


@njit(cache=True, nogil=True)
def limiter_gain(level: Array, threshold: float, release_ms: float) -> Array:
    """Gain float32 [N] that keeps `level` [N] (>= 0) below `threshold`: immediate attack, smooth release."""
    ceiling = np.float32(threshold)
    keep = np.float32(math.exp(-2000 * math.pi / (RATE * release_ms)))
    gain = np.empty_like(level)
    held = np.float32(0)
    for n in range(level.size):
        held = level[n] + keep * max(held - level[n], np.float32(0))
        gain[n] = ceiling / max(held, ceiling)
    return gain


@njit(cache=True, nogil=True)
def delay(x: Array, samples: int, feedback: float) -> Array:
    """Echoes of x, without x: each `samples` later than the one before and `feedback` times as loud."""
    y = np.zeros_like(x)
    again = np.float32(feedback)
    for n in range(samples, x.size):
        y[n] = x[n - samples] + again * y[n - samples]
    return y


_COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
_ALLPASSES = (556, 441, 341, 225)
_SPREAD = 23  # samples that the right channel's lines are longer


def reverb(x: Array, room: float, damping: float, width: float) -> Array:
    """Freeverb (Jezar at Dreampoint, public domain), wet only: float32 [N] to [2, N].

    As JUCE and pedalboard scale it with wet level 1, for a mono input on both channels.
    """
    feed = x * np.float32(0.03)
    left = _freeverb(feed, np.float32(room * 0.28 + 0.7), np.float32(damping * 0.4), 0)
    right = _freeverb(feed, np.float32(room * 0.28 + 0.7), np.float32(damping * 0.4), _SPREAD)
    near, far = np.float32(1.5 * (1 + width)), np.float32(1.5 * (1 - width))
    return np.stack([near * left + far * right, near * right + far * left])


@njit(cache=True, nogil=True)
def _freeverb(x: Array, feedback: Real, damping: Real, spread: int) -> Array:
    y = np.zeros_like(x)
    line = np.empty_like(x)
    keep = np.float32(1) - damping
    for tuning in _COMBS:
        d = tuning + spread
        low = np.float32(0)
        for n in range(min(d, x.size)):
            line[n] = x[n]
        for n in range(d, x.size):
            out = line[n - d]
            low = out * keep + low * damping
            line[n] = x[n] + low * feedback
            y[n] += out
    for tuning in _ALLPASSES:
        d = tuning + spread
        for n in range(min(d, x.size)):
            line[n] = y[n]
            y[n] = -y[n]
        for n in range(d, x.size):
            held = line[n - d]
            line[n] = y[n] + held * np.float32(0.5)
            y[n] = held - y[n]
    return y
