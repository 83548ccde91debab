"""Reverb and delay, the two send effects: wet signal only."""

import numpy as np
from numba import njit

from dose.rmod.effects.simd import CHUNK, LANES, Real, deinterleave, interleave, load_f32x8, store

# Freeverb's delay lines in samples at 44.1 kHz.
COMBS = (1116, 1188, 1277, 1356, 1422, 1491, 1557, 1617)
ALLPASSES = (556, 441, 341, 225)
STEREO_SPREAD = 23  # samples by which the right channel's lines are longer


def reverb(x: np.ndarray, room: float, damping: float, width: float, gain: float = 1.0) -> np.ndarray:
    """Freeverb (Jezar at Dreampoint, public domain), wet only: float32 [N] times `gain` to [2, N].

    Per channel: eight damped comb filters in parallel, then four allpass filters in series. The scaling is
    that of JUCE's Reverb, which pedalboard uses, at wet level 1 and with the mono input on both channels:
    feedback 0.28 room + 0.7, damping 0.4, input gain 2 * 0.015, wet gain 3 * (1 +- width) / 2.
    """
    feedback, damp = np.float32(room * 0.28 + 0.7), np.float32(damping * 0.4)
    out = np.empty((2, x.size), np.float32)
    for channel in range(2):
        lengths = np.array(COMBS) + channel * STEREO_SPREAD
        _combs(x, np.float32(0.03 * gain), out[channel], feedback, damp, lengths)
        for length in ALLPASSES:
            _allpass(out[channel], length + channel * STEREO_SPREAD)
    _widen(out, np.float32(1.5 * (1 + width)), np.float32(1.5 * (1 - width)))
    return out


@njit(cache=True, nogil=True)
def _widen(stereo: np.ndarray, same: Real, other: Real) -> None:
    """Mixes the channels of stereo [2, N] in place: `same` of each, plus `other` of the opposite one."""
    for n in range(stereo.shape[1]):
        left, right = stereo[0, n], stereo[1, n]
        stereo[0, n] = same * left + other * right
        stereo[1, n] = same * right + other * left


@njit(cache=True, nogil=True)
def _combs(
    x: np.ndarray, gain: Real, y: np.ndarray, feedback: Real, damping: Real, delays: np.ndarray
) -> None:
    """Eight damped combs of x [N] times `gain`, summed to y [N].

    One comb per sample: out = line[i]; low = (1 - damping) out + damping low; line[i] = x + feedback low.
    A chunk is shorter than every delay, so the outputs of all lines over a chunk are known when it begins.
    """
    chunk = min(CHUNK, delays.min() // LANES * LANES)
    lines = np.zeros((LANES, delays.max()), np.float32)  # circular buffers
    at = np.zeros(LANES, np.int64)  # read and write position of each line
    out, low = np.zeros((LANES, chunk), np.float32), np.zeros((LANES, chunk), np.float32)
    block = np.empty(LANES * chunk, np.float32)
    new_part = load_f32x8(np.full(LANES, np.float32(1) - damping), 0)
    old_part = load_f32x8(np.full(LANES, damping), 0)
    state = load_f32x8(np.zeros(LANES, np.float32), 0)
    for start in range(0, x.size, chunk):
        size = min(chunk, x.size - start)
        # 1. Read every line. [8, size]
        for k in range(LANES):
            here = min(size, delays[k] - at[k])  # samples before the buffer wraps around
            _copy(lines[k, at[k] : at[k] + here], out[k, :here])
            _copy(lines[k, : size - here], out[k, here:size])
        # 2. The damping low-pass, recursive, over all eight lines at once. [size, 8]
        interleave(out, 0, chunk, block)
        for n in range(0, LANES * size, LANES):
            state = load_f32x8(block, n) * new_part + state * old_part
            store(block, n, state)
        deinterleave(block, low, 0, chunk)
        # 3. Write the input and the feedback into every line, and sum the outputs.
        feed = x[start : start + size]
        for k in range(LANES):
            here = min(size, delays[k] - at[k])
            _feed(lines[k, at[k] : at[k] + here], feed[:here], gain, low[k, :here], feedback)
            _feed(lines[k, : size - here], feed[here:], gain, low[k, here:size], feedback)
            at[k] = (at[k] + size) % delays[k]
        _sum_of_eight(out, y[start : start + size])


@njit(cache=True, nogil=True)
def _copy(x: np.ndarray, y: np.ndarray) -> None:
    for n in range(x.size):
        y[n] = x[n]


@njit(cache=True, nogil=True)
def _feed(line: np.ndarray, x: np.ndarray, gain: Real, low: np.ndarray, feedback: Real) -> None:
    for n in range(line.size):
        line[n] = x[n] * gain + low[n] * feedback


@njit(cache=True, nogil=True)
def _sum_of_eight(rows: np.ndarray, y: np.ndarray) -> None:
    """rows [8, N] summed to y [N], in a fixed order."""
    a, b, c, d, e, f, g, h = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for n in range(y.size):
        y[n] = ((a[n] + b[n]) + (c[n] + d[n])) + ((e[n] + f[n]) + (g[n] + h[n]))


@njit(cache=True, nogil=True)
def _allpass(y: np.ndarray, delay: int) -> None:
    """Freeverb's allpass of gain 0.5 over y [N], in place.

    A whole delay at a time: within one, no sample depends on another, so the loop vectorises.
    """
    line = np.zeros(delay, np.float32)
    for start in range(0, y.size, delay):
        for n in range(min(delay, y.size - start)):
            out = line[n] - y[start + n]
            line[n] = y[start + n] + line[n] * np.float32(0.5)
            y[start + n] = out


@njit(cache=True, nogil=True)
def delay(x: np.ndarray, samples: int, feedback: float) -> np.ndarray:
    """Echoes of x [N], without x: each `samples` after the one before and `feedback` times as loud.

    Wet signal of pedalboard.Delay.
    """
    y = np.zeros_like(x)
    gain = np.float32(feedback)
    for n in range(samples, x.size):
        y[n] = x[n - samples] + gain * y[n - samples]
    return y
