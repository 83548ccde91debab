"""Equalisers: designs of biquad and first-order filters, and the kernels that run them.

Biquads follow Robert Bristow-Johnson's "Cookbook formulae for audio EQ biquad filter coefficients"; a test
compares them with pedalboard's. A biquad is [b0, b1, b2, a1, a2] with a0 = 1.
"""

import math
from collections.abc import Sequence

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
    load_f64x8,
    narrow,
    store,
    widen,
)

IDENTITY = np.array([1.0, 0, 0, 0, 0])  # the biquad that changes nothing
SECTIONS = 4  # biquads in one pass: a shelf and up to three peaks, which is the longest chain of a track


def peak_filter(hz: float, gain_db: float, q: float) -> np.ndarray:
    """Biquad of a peaking equaliser: `gain_db` at `hz`, 0 dB far from it."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    alpha, cos = math.sin(w) / (2 * q), math.cos(w)
    b = (1 + alpha * a, -2 * cos, 1 - alpha * a)
    return _normalised(b, (1 + alpha / a, -2 * cos, 1 - alpha / a))


def low_shelf(hz: float, gain_db: float, q: float) -> np.ndarray:
    """Biquad of a low shelf: `gain_db` far below `hz`, 0 dB far above."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    cos, root = math.cos(w), math.sin(w) * math.sqrt(a) / q
    up, down = a + 1, a - 1
    b = (a * (up - down * cos + root), 2 * a * (down - up * cos), a * (up - down * cos - root))
    return _normalised(b, (up + down * cos + root, -2 * (down + up * cos), up + down * cos - root))


def high_shelf(hz: float, gain_db: float, q: float) -> np.ndarray:
    """Biquad of a high shelf: `gain_db` far above `hz`, 0 dB far below."""
    a = 10 ** (gain_db / 40)
    w = 2 * math.pi * hz / RATE
    cos, root = math.cos(w), math.sin(w) * math.sqrt(a) / q
    up, down = a + 1, a - 1
    b = (a * (up + down * cos + root), -2 * a * (down + up * cos), a * (up + down * cos - root))
    return _normalised(b, (up - down * cos + root, 2 * (down - up * cos), up - down * cos - root))


def _normalised(b: tuple[float, float, float], a: tuple[float, float, float]) -> np.ndarray:
    return np.array([b[0], b[1], b[2], a[1], a[2]]) / a[0]


def high_pass(hz: float) -> np.ndarray:
    """First-order high-pass [b0, b1, a1] by the bilinear transform, as pedalboard.HighpassFilter."""
    k = math.tan(math.pi * hz / RATE)
    return np.array([1, -1, k - 1]) / (1 + k)


def low_pass(hz: float) -> np.ndarray:
    """First-order low-pass [b0, b1, a1] by the bilinear transform, as pedalboard.LowpassFilter."""
    k = math.tan(math.pi * hz / RATE)
    return np.array([k, k, k - 1]) / (1 + k)


def biquads(x: np.ndarray, sections: np.ndarray) -> np.ndarray:
    """x float32 [N] through the biquads `sections` float64 [K, 5] in a row; float32 [N].

    The filter state is float64: with poles near 20 Hz, float32 leaves a signal-to-noise ratio of some 50 dB.
    """
    if len(sections) == 1:
        return _biquad(x, sections[0])
    rows = np.zeros((LANES, -(-x.size // LANES) * LANES), np.float32)  # [8, N rounded up]
    rows[0, : x.size] = x
    for k in range(0, len(sections), SECTIONS):
        apply_eq(rows, [sections[k : k + SECTIONS]], [1.0])
    return rows[0, : x.size]


def apply_eq(rows: np.ndarray, sections: Sequence[np.ndarray], gains: Sequence[float]) -> None:
    """Row i of rows float32 [8, N] times gains[i] through its up to four biquads [K, 5], in place.

    N is a multiple of 8. Rows beyond `sections` are filled with silence.
    """
    coefficients = np.tile(IDENTITY, (LANES, SECTIONS, 1))  # [lane, section, coefficient]
    lane_gains = np.zeros(LANES)
    for i, (own, gain) in enumerate(zip(sections, gains, strict=True)):
        coefficients[i, : len(own)] = own
        lane_gains[i] = gain
    # Lanes go last, so that one load gives a coefficient of all eight rows.
    _four_biquads(rows, lane_gains, np.ascontiguousarray(coefficients.transpose(1, 2, 0)).ravel())


@njit(cache=True, nogil=True)
def _biquad(x: np.ndarray, section: np.ndarray) -> np.ndarray:
    """One biquad in transposed direct form II, state in float64."""
    y = np.empty_like(x)
    b0, b1, b2, a1, a2 = section
    s1 = s2 = 0.0
    for n in range(x.size):
        v = x[n]
        out = b0 * v + s1
        s1 = b1 * v - a1 * out + s2
        s2 = b2 * v - a2 * out
        y[n] = out
    return y


@njit(cache=True, nogil=True)
def _four_biquads(rows: np.ndarray, gains: np.ndarray, coefficients: np.ndarray) -> None:
    """Four biquads (p, q, r, t) of eight rows in one loop, in place; coefficients [4 * 5 * 8].

    Each biquad is in transposed direct form II with its two states in float64. The four are unrolled, so that
    the processor computes p of one sample while q, r and t are still at the ones before.
    """
    block = np.empty(LANES * CHUNK, np.float32)
    gain = load_f64x8(gains, 0)
    p1 = p2 = q1 = q2 = r1 = r2 = t1 = t2 = load_f64x8(np.zeros(LANES), 0)
    pb0, pb1, pb2, pa1, pa2 = _section(coefficients, 0)
    qb0, qb1, qb2, qa1, qa2 = _section(coefficients, 1)
    rb0, rb1, rb2, ra1, ra2 = _section(coefficients, 2)
    tb0, tb1, tb2, ta1, ta2 = _section(coefficients, 3)
    for start in range(0, rows.shape[1], CHUNK):
        size = min(CHUNK, rows.shape[1] - start)
        interleave(rows, start, size, block)  # [8, size] -> [size, 8]
        for n in range(0, LANES * size, LANES):
            v = gain * widen(load_f32x8(block, n))
            p = pb0 * v + p1
            p1 = pb1 * v - pa1 * p + p2
            p2 = pb2 * v - pa2 * p
            q = qb0 * p + q1
            q1 = qb1 * p - qa1 * q + q2
            q2 = qb2 * p - qa2 * q
            r = rb0 * q + r1
            r1 = rb1 * q - ra1 * r + r2
            r2 = rb2 * q - ra2 * r
            t = tb0 * r + t1
            t1 = tb1 * r - ta1 * t + t2
            t2 = tb2 * r - ta2 * t
            store(block, n, narrow(t))
        deinterleave(block, rows, start, size)


@njit(cache=True, nogil=True)
def _section(coefficients: np.ndarray, k: int) -> tuple:
    """The five coefficients of biquad k, eight lanes each."""
    at = 5 * LANES * k
    return (
        load_f64x8(coefficients, at),
        load_f64x8(coefficients, at + LANES),
        load_f64x8(coefficients, at + 2 * LANES),
        load_f64x8(coefficients, at + 3 * LANES),
        load_f64x8(coefficients, at + 4 * LANES),
    )


@njit(cache=True, nogil=True)
def first_order(x: np.ndarray, b0: Real, b1: Real, a1: Real) -> np.ndarray:
    """float32 [N] through one zero and one pole: y[n] = b0 x[n] + b1 x[n - 1] - a1 y[n - 1]."""
    y = np.empty_like(x)
    # The zero first, in a loop of its own that the compiler vectorises; the pole has to go sample by sample.
    x_last: Real = np.float32(0)
    for n in range(x.size):
        y[n] = b0 * x[n] + b1 * x_last
        x_last = x[n]
    y_last: Real = np.float32(0)
    for n in range(x.size):
        y_last = y[n] - a1 * y_last
        y[n] = y_last
    return y
