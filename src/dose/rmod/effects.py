"""The mixing desk's effects as kernels over float32 sound, compiled once and kept on disk.

Mono, [N]: a bank's clips are mono, and what makes a track stereo (pan, reverb) comes last. What waits for its
own last sample runs for eight sounds, or the reverb's eight lines, side by side. No fast-math: sums keep
their order, so the same input gives the same bytes in every process.
"""

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from dose.audio import RATE
from dose.rmod.simd import (
    LANES,
    by_sign,
    interleave,
    load,
    load_double,
    load_four,
    narrow,
    spread,
    store,
    widen,
)

RMS_FLOOR = 1e-6  # quieter than -120 dBFS counts as silence
NEUTRAL = np.array([1.0, 0, 0, 0, 0])  # a section that changes nothing
SECTIONS = 4  # in one pass
_CHUNK = 1024  # samples; what is worked on stays in the nearest cache
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
    """First-order high-pass [b0, b1, a1], bilinear."""
    k = math.tan(math.pi * hz / RATE)
    return np.array([1, -1, k - 1]) / (1 + k)


def low_pass(hz: float) -> Array:
    """First-order low-pass [b0, b1, a1], bilinear."""
    k = math.tan(math.pi * hz / RATE)
    return np.array([k, k, k - 1]) / (1 + k)


def _normal(b: tuple[float, float, float], a: tuple[float, float, float]) -> Array:
    return np.array([b[0], b[1], b[2], a[1], a[2]]) / a[0]


def biquads(x: Array, sections: Array) -> Array:
    """x float32 [N] through sections float64 [K, 5] in a row.

    State is float64: poles near 20 Hz leave float32 some 50 dB.
    """
    if len(sections) == 1:
        return _one(x, sections[0])
    rows = np.zeros((LANES, -(-x.size // LANES) * LANES), np.float32)
    rows[0, : x.size] = x
    for k in range(0, len(sections), SECTIONS):
        equalise(rows, [sections[k : k + SECTIONS]], [1.0])
    return rows[0, : x.size]


def equalise(rows: Array, sections: Sequence[Array], gains: Sequence[float]) -> None:
    """Row i of rows float32 [8, N] times gains[i] through its up to four sections [K, 5], in place.

    N is a multiple of 8. Rows beyond `sections` are filled with silence.
    """
    lanes = np.tile(NEUTRAL, (LANES, SECTIONS, 1))
    level = np.zeros(LANES)
    for i, (own, gain) in enumerate(zip(sections, gains, strict=True)):
        lanes[i, : len(own)] = own
        level[i] = gain
    _four(rows, level, np.ascontiguousarray(lanes.transpose(1, 2, 0)).ravel())


@njit(cache=True, nogil=True)
def _one(x: Array, section: Array) -> Array:
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
def _four(rows: Array, level: Array, c: Array) -> None:
    """Four sections of eight sounds in one loop; c [4 * 5 * 8]: section, coefficient, sound."""
    block = np.empty(LANES * _CHUNK, np.float32)
    gain = load_double(level, 0)
    p1 = p2 = q1 = q2 = r1 = r2 = t1 = t2 = load_double(np.zeros(LANES), 0)
    pb0, pb1, pb2, pa1, pa2 = _section(c, 0)
    qb0, qb1, qb2, qa1, qa2 = _section(c, 1)
    rb0, rb1, rb2, ra1, ra2 = _section(c, 2)
    tb0, tb1, tb2, ta1, ta2 = _section(c, 3)
    for start in range(0, rows.shape[1], _CHUNK):
        size = min(_CHUNK, rows.shape[1] - start)
        interleave(rows, start, size, block)
        for n in range(0, LANES * size, LANES):
            v = gain * widen(load(block, n))
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
        spread(block, rows, start, size)


@njit(cache=True, nogil=True)
def _section(c: Array, k: int) -> tuple:
    at = 5 * LANES * k
    return (
        load_double(c, at),
        load_double(c, at + LANES),
        load_double(c, at + 2 * LANES),
        load_double(c, at + 3 * LANES),
        load_double(c, at + 4 * LANES),
    )


@njit(cache=True, nogil=True)
def peak(x: Array) -> Real:
    """Largest absolute value of [N]."""
    top: Real = np.float32(0)
    for n in range(x.size):
        top = max(top, abs(x[n]))
    return top


@njit(cache=True, nogil=True)
def rms(x: Array) -> float:
    """Root mean square of [N]; 1024 at a time as four sums in float32, then in float64."""
    total: Real = 0.0
    sums = np.empty(4, np.float32)
    whole = x.size - x.size % 4
    for start in range(0, whole, 1024):
        four = load_four(np.zeros(4, np.float32), 0)
        for n in range(start, min(start + 1024, whole), 4):
            v = load_four(x, n)
            four = four + v * v
        store(sums, 0, four)
        total += (sums[0] + sums[1]) + (sums[2] + sums[3])
    for n in range(whole, x.size):
        total += x[n] * x[n]
    return math.sqrt(total / max(x.size, 1))


@njit(cache=True, nogil=True)
def mix_in(bus: Array, x: Array, left: float, right: float) -> None:
    """Adds x [N] to bus [2, N] with the gains of its two sides."""
    near, far = np.float32(left), np.float32(right)
    for n in range(x.size):
        bus[0, n] += near * x[n]
        bus[1, n] += far * x[n]


# Polynomials for log2 on [1, 2) and exp2 on [0, 1), exact at both ends; 2e-6 and 2e-7 off at most (by test).
# The compiler makes vector code of them, which it cannot of the C library's functions.
LOG2 = np.array(
    [1.44266644, -0.720554248, 0.473324285, -0.325140507, 0.193030173, -0.0785353701, 0.0152092265],
    np.float32,
)
EXP2 = np.array(
    [0.693146989, 0.240230134, 0.0554812771, 0.0096838439, 0.00123883282, 0.000218922684], np.float32
)
OCTAVES_PER_DB = math.log2(10) / 20


@njit(cache=True, nogil=True)
def _log2(x: Array, out: Array) -> None:
    """log2 of positive normal float32."""
    bits = x.view(np.int32)
    mantissa = np.empty(x.size, np.int32)
    for n in range(x.size):
        mantissa[n] = (bits[n] & 0x7FFFFF) | 0x3F800000
    m = mantissa.view(np.float32)
    for n in range(x.size):
        f = m[n] - np.float32(1)
        p = LOG2[0] + f * (
            LOG2[1] + f * (LOG2[2] + f * (LOG2[3] + f * (LOG2[4] + f * (LOG2[5] + f * LOG2[6]))))
        )
        out[n] = np.float32((bits[n] >> 23) - 127) + f * p


@njit(cache=True, nogil=True)
def _exp2(x: Array, out: Array) -> None:
    """2 ** x for -126 < x < 127, float32."""
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
def compress(rows: Array, settings: Array) -> None:
    """The first K of rows float32 [8, N] through a feed-forward compressor each, in place.

    settings float64 [K, 5]: threshold dB, attack ms, release ms, ratio, and a gain in front of it all.
    Level in dB, hard knee, then attack and release smooth the reduction (Giannoulis, Massberg and Reiss
    2012: log-domain detector, branching smoother). Levels are octaves here.
    With f(d) = keep * d, keep by the sign of d, the smoother s' = over + f(s - over) is carried as
    d = s - over, which leaves one multiplication, one choice and one sum between a sample and the next.
    """
    count = len(settings)
    falling, rising = np.zeros(LANES, np.float32), np.zeros(LANES, np.float32)
    for k in range(count):
        falling[k] = np.float32(math.exp(-1 / (0.001 * RATE * settings[k, 1])))
        rising[k] = np.float32(math.exp(-1 / (0.001 * RATE * settings[k, 2])))
    attack, release = load(falling, 0), load(rising, 0)
    d = load(np.zeros(LANES, np.float32), 0)
    last = np.zeros(LANES, np.float32)
    over, step = np.zeros((LANES, _CHUNK), np.float32), np.zeros((LANES, _CHUNK), np.float32)
    block = np.empty(LANES * _CHUNK, np.float32)
    for start in range(0, rows.shape[1], _CHUNK):
        size = min(_CHUNK, rows.shape[1] - start)
        whole = -(-size // LANES) * LANES
        for k in range(count):
            _overshoot(rows[k, start : start + size], settings[k], over[k, :size])
            step[k, 0] = last[k] - over[k, 0]
            for n in range(1, size):
                step[k, n] = over[k, n - 1] - over[k, n]
            last[k] = over[k, size - 1]
        interleave(step, 0, whole, block)
        for n in range(0, LANES * size, LANES):
            d = d + load(block, n)
            d = d * by_sign(d, release, attack)
            store(block, n, d)
        spread(block, step, 0, whole)
        for k in range(count):
            _reduce(rows[k, start : start + size], np.float32(settings[k, 4]), step[k], over[k])


@njit(cache=True, nogil=True)
def _overshoot(x: Array, setting: Array, over: Array) -> None:
    """Octaves that x [N] times the gain is to lose, before smoothing."""
    slope = np.float32(1 - 1 / setting[3])
    threshold = np.float32(setting[0] * OCTAVES_PER_DB)
    scale = np.float32(setting[4])
    level = np.empty(x.size, np.float32)
    for n in range(x.size):
        level[n] = max(abs(scale * x[n]), np.float32(1e-6))
    _log2(level, over)
    for n in range(x.size):
        over[n] = max(over[n] - threshold, np.float32(0)) * slope


@njit(cache=True, nogil=True)
def _reduce(x: Array, scale: Real, d: Array, over: Array) -> None:
    """x [N] times the gain, less the smoothed reduction d + over, in place."""
    octaves, factor = np.empty(x.size, np.float32), np.empty(x.size, np.float32)
    for n in range(x.size):
        octaves[n] = -(d[n] + over[n])
    _exp2(octaves, factor)
    for n in range(x.size):
        x[n] = scale * x[n] * factor[n]


@njit(cache=True, nogil=True)
def limiter_gain(level: Array, threshold: float, release_ms: float) -> Array:
    """Gain float32 [N] that keeps `level` [N] (>= 0) below `threshold`: immediate attack, smooth release."""
    ceiling = np.float32(threshold)
    keep = np.float32(math.exp(-2000 * math.pi / (RATE * release_ms)))
    gain = np.empty_like(level)
    held = np.float32(0)
    for n in range(level.size):
        held = level[n] + keep * max(held - level[n], np.float32(0))
        gain[n] = held
    for n in range(level.size):
        gain[n] = ceiling / max(gain[n], ceiling)
    return gain


@njit(cache=True, nogil=True)
def first_order(x: Array, b0: Real, b1: Real, a1: Real) -> Array:
    """float32 [N] through one pole and one zero."""
    y = np.empty_like(x)
    last: Real = np.float32(0)
    before: Real = np.float32(0)
    for n in range(x.size):
        y[n] = b0 * x[n] + b1 * before
        before = x[n]
    for n in range(x.size):
        last = y[n] - a1 * last
        y[n] = last
    return y


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


def reverb(x: Array, room: float, damping: float, width: float, gain: float = 1.0) -> Array:
    """Freeverb (Jezar at Dreampoint, public domain), wet only: float32 [N] times `gain` to [2, N].

    As JUCE and pedalboard scale it with wet level 1, for a mono input on both channels.
    """
    feedback, low = np.float32(room * 0.28 + 0.7), np.float32(damping * 0.4)
    out = np.empty((2, x.size), np.float32)
    for side in range(2):
        _combs(x, np.float32(0.03 * gain), out[side], feedback, low, np.array(_COMBS) + side * _SPREAD)
        for tuning in _ALLPASSES:
            _allpass(out[side], tuning + side * _SPREAD)
    _widen(out, np.float32(1.5 * (1 + width)), np.float32(1.5 * (1 - width)))
    return out


@njit(cache=True, nogil=True)
def _widen(sides: Array, near: Real, far: Real) -> None:
    for n in range(sides.shape[1]):
        left, right = sides[0, n], sides[1, n]
        sides[0, n] = near * left + far * right
        sides[1, n] = near * right + far * left


@njit(cache=True, nogil=True)
def _combs(x: Array, scale: Real, y: Array, feedback: Real, damping: Real, delays: Array) -> None:
    """Eight damped combs of x [N] times `scale`, summed to y.

    A chunk is shorter than every delay, so all that comes out of the lines in it is known when it begins.
    """
    chunk = min(_CHUNK, delays.min() // LANES * LANES)
    lines = np.zeros((LANES, delays.max()), np.float32)
    at = np.zeros(LANES, np.int64)  # where each line is read and written next
    out, low = np.zeros((LANES, chunk), np.float32), np.zeros((LANES, chunk), np.float32)
    block = np.empty(LANES * chunk, np.float32)
    kept, mixed = load(np.full(LANES, np.float32(1) - damping), 0), load(np.full(LANES, damping), 0)
    state = load(np.zeros(LANES, np.float32), 0)
    for start in range(0, x.size, chunk):
        size = min(chunk, x.size - start)
        for k in range(LANES):
            here = min(size, delays[k] - at[k])  # until the line's end; the rest is at its beginning
            _copy(lines[k, at[k] : at[k] + here], out[k, :here])
            _copy(lines[k, : size - here], out[k, here:size])
        interleave(out, 0, chunk, block)
        for n in range(0, LANES * size, LANES):
            state = load(block, n) * kept + state * mixed
            store(block, n, state)
        spread(block, low, 0, chunk)
        feed = x[start : start + size]
        for k in range(LANES):
            here = min(size, delays[k] - at[k])
            _feed(lines[k, at[k] : at[k] + here], feed[:here], scale, low[k, :here], feedback)
            _feed(lines[k, : size - here], feed[here:], scale, low[k, here:size], feedback)
            at[k] = (at[k] + size) % delays[k]
        _sum_of_eight(out, y[start : start + size])


@njit(cache=True, nogil=True)
def _copy(x: Array, y: Array) -> None:
    for n in range(x.size):
        y[n] = x[n]


@njit(cache=True, nogil=True)
def _feed(line: Array, x: Array, scale: Real, low: Array, feedback: Real) -> None:
    for n in range(line.size):
        line[n] = x[n] * scale + low[n] * feedback


@njit(cache=True, nogil=True)
def _sum_of_eight(rows: Array, y: Array) -> None:
    a, b, c, d, e, f, g, h = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5], rows[6], rows[7]
    for n in range(y.size):
        y[n] = ((a[n] + b[n]) + (c[n] + d[n])) + ((e[n] + f[n]) + (g[n] + h[n]))


@njit(cache=True, nogil=True)
def _allpass(y: Array, d: int) -> None:
    """In place; a whole delay at a time, within which no sample waits for another."""
    held = np.zeros(d, np.float32)
    for start in range(0, y.size, d):
        for n in range(min(d, y.size - start)):
            out = held[n] - y[start + n]
            held[n] = y[start + n] + held[n] * np.float32(0.5)
            y[start + n] = out
