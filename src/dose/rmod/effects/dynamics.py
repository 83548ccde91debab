"""Compressor and limiter."""

import math

import numpy as np
from numba import njit

from dose.audio import RATE
from dose.rmod.effects.simd import (
    CHUNK,
    LANES,
    Real,
    deinterleave,
    interleave,
    load_f32x8,
    select_by_sign,
    store,
)

# Polynomials for log2 on [1, 2) and exp2 on [0, 1), exact at both ends and at most 2e-6 and 2e-7 off (by
# test). The compiler turns them into SIMD code, which it cannot do with the C library's functions.
LOG2 = np.array(
    [1.44266644, -0.720554248, 0.473324285, -0.325140507, 0.193030173, -0.0785353701, 0.0152092265],
    np.float32,
)
EXP2 = np.array(
    [0.693146989, 0.240230134, 0.0554812771, 0.0096838439, 0.00123883282, 0.000218922684], np.float32
)
OCTAVES_PER_DB = math.log2(10) / 20  # amplitude as a power of two


@njit(cache=True, nogil=True)
def _log2(x: np.ndarray, out: np.ndarray) -> None:
    """log2 of positive normal float32 [N]: the exponent's bits, plus a polynomial of the mantissa."""
    bits = x.view(np.int32)
    mantissa = np.empty(x.size, np.int32)
    for n in range(x.size):
        mantissa[n] = (bits[n] & 0x7FFFFF) | 0x3F800000  # exponent replaced by that of 1
    m = mantissa.view(np.float32)
    for n in range(x.size):
        f = m[n] - np.float32(1)
        p = LOG2[0] + f * (
            LOG2[1] + f * (LOG2[2] + f * (LOG2[3] + f * (LOG2[4] + f * (LOG2[5] + f * LOG2[6]))))
        )
        out[n] = np.float32((bits[n] >> 23) - 127) + f * p


@njit(cache=True, nogil=True)
def _exp2(x: np.ndarray, out: np.ndarray) -> None:
    """2 ** x for -126 < x < 127, float32 [N]: a polynomial of the fraction, times the exponent's bits."""
    bits = np.empty(x.size, np.int32)
    for n in range(x.size):
        whole = np.floor(x[n])
        f = x[n] - whole
        out[n] = np.float32(1) + f * (
            EXP2[0] + f * (EXP2[1] + f * (EXP2[2] + f * (EXP2[3] + f * (EXP2[4] + f * EXP2[5]))))
        )
        bits[n] = (np.int32(whole) + 127) << 23
    power = bits.view(np.float32)
    for n in range(x.size):
        out[n] *= power[n]


@njit(cache=True, nogil=True)
def compress(rows: np.ndarray, settings: np.ndarray) -> None:
    """The first K of rows float32 [8, N] through a feed-forward compressor each, in place.

    settings float64 [K, 5]: threshold dB, attack ms, release ms, ratio, and a gain in front of the
    compressor. The design is the log-domain detector with the branching smoother of Giannoulis, Massberg and
    Reiss, "Digital Dynamic Range Compressor Design", JAES 60(6), 2012: level in dB, hard knee, then attack
    and release smooth the gain reduction. Levels are in octaves (log2) here.

    Per sample, with the wanted reduction `over` and the smoothed reduction s, the smoother is
    s' = over + a (s - over), where a is the attack or the release coefficient by the sign of s - over. It is
    computed on d = s - over, which leaves one sum, one choice and one product between a sample and the next.
    """
    count = len(settings)
    # 1. Coefficients: time constants of attack and release, one lane per row.
    attack_by_row, release_by_row = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for k in range(count):
        attack_by_row[k] = np.float32(math.exp(-1 / (0.001 * RATE * settings[k, 1])))
        release_by_row[k] = np.float32(math.exp(-1 / (0.001 * RATE * settings[k, 2])))
    attack, release = load_f32x8(attack_by_row, 0), load_f32x8(release_by_row, 0)
    d = load_f32x8(np.zeros(LANES, np.float32), 0)
    last = np.zeros(LANES, np.float32)  # `over` of the sample before the chunk
    over, step = np.zeros((LANES, CHUNK), np.float32), np.zeros((LANES, CHUNK), np.float32)
    block = np.empty(LANES * CHUNK, np.float32)
    for start in range(0, rows.shape[1], CHUNK):
        size = min(CHUNK, rows.shape[1] - start)
        whole = -(-size // LANES) * LANES  # rounded up to full vectors
        # 2. Row by row: the wanted reduction, and its decrease from sample to sample. [8, size]
        for k in range(count):
            _overshoot(rows[k, start : start + size], settings[k], over[k, :size])
            step[k, 0] = last[k] - over[k, 0]
            for n in range(1, size):
                step[k, n] = over[k, n - 1] - over[k, n]
            last[k] = over[k, size - 1]
        # 3. All rows at once: the recursion of the smoother. [size, 8]
        interleave(step, 0, whole, block)
        for n in range(0, LANES * size, LANES):
            d = d + load_f32x8(block, n)
            d = d * select_by_sign(d, release, attack)
            store(block, n, d)
        deinterleave(block, step, 0, whole)
        # 4. Row by row: the reduction applied. [8, size]
        for k in range(count):
            _reduce(rows[k, start : start + size], np.float32(settings[k, 4]), step[k], over[k])


@njit(cache=True, nogil=True)
def _overshoot(x: np.ndarray, setting: np.ndarray, over: np.ndarray) -> None:
    """Wanted gain reduction in octaves of x [N] times the gain, before smoothing; written to over [N]."""
    slope = np.float32(1 - 1 / setting[3])
    threshold = np.float32(setting[0] * OCTAVES_PER_DB)
    gain = np.float32(setting[4])
    level = np.empty(x.size, np.float32)
    for n in range(x.size):
        level[n] = max(abs(gain * x[n]), np.float32(1e-6))  # -120 dB: log2 of 0 is not finite
    _log2(level, over)
    for n in range(x.size):
        over[n] = max(over[n] - threshold, np.float32(0)) * slope


@njit(cache=True, nogil=True)
def _reduce(x: np.ndarray, gain: Real, d: np.ndarray, over: np.ndarray) -> None:
    """x [N] times the gain, less the smoothed reduction d + over in octaves, in place."""
    octaves, factor = np.empty(x.size, np.float32), np.empty(x.size, np.float32)
    for n in range(x.size):
        octaves[n] = -(d[n] + over[n])
    _exp2(octaves, factor)
    for n in range(x.size):
        x[n] = gain * x[n] * factor[n]


@njit(cache=True, nogil=True)
def limiter_gain(level: np.ndarray, threshold: float, release_ms: float) -> np.ndarray:
    """Gain float32 [N] that holds `level` [N] (>= 0) at or below `threshold`: instant attack, smooth release.

    A peak follower with the release coefficient exp(-2 pi / (RATE release)) of JUCE's ballistics filter, and
    the gain threshold / envelope above the threshold. This equals pedalboard's compressor at ratio 10^6 and
    no attack (by test); pedalboard's limiter adds a second stage.
    """
    ceiling = np.float32(threshold)
    release = np.float32(math.exp(-2000 * math.pi / (RATE * release_ms)))
    gain = np.empty_like(level)
    envelope = np.float32(0)
    for n in range(level.size):
        envelope = level[n] + release * max(envelope - level[n], np.float32(0))
        gain[n] = envelope
    for n in range(level.size):
        gain[n] = ceiling / max(gain[n], ceiling)
    return gain
