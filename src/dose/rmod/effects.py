"""The mixing desk's effects as kernels over float32 sound, compiled once and kept on disk.

All are mono [N] in, mono [N] out: a bank's clips are mono, and what makes a track stereo (pan, reverb) comes
last. No fast-math: sums keep their order, so the same input gives the same bytes in every process.
"""

import math

import numpy as np
from numba import njit

from dose.audio import RATE

RMS_FLOOR = 1e-6  # quieter than -120 dBFS counts as silence
NEUTRAL = np.array([1.0, 0, 0, 0, 0])  # a section that changes nothing
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


def biquads(x: Array, sections: Array, gain: float = 1.0) -> Array:
    """x float32 [N] times `gain` through sections float64 [K, 5] in a row.

    State is float64: poles near 20 Hz leave float32 some 50 dB, and in scalar code it costs the same.
    """
    if len(sections) <= 1:
        return _one(x, gain, sections[0] if len(sections) else NEUTRAL)
    y = x
    for k in range(0, len(sections), 4):
        four = np.tile(NEUTRAL, (4, 1))
        four[: len(sections[k : k + 4])] = sections[k : k + 4]
        y = _four(y, gain if k == 0 else 1.0, four)
    return y


@njit(cache=True, nogil=True)
def _one(x: Array, gain: float, section: Array) -> Array:
    y = np.empty_like(x)
    b0, b1, b2, a1, a2 = section
    s1 = s2 = 0.0
    for n in range(x.size):
        v = gain * x[n]
        out = b0 * v + s1
        s1 = b1 * v - a1 * out + s2
        s2 = b2 * v - a2 * out
        y[n] = out
    return y


@njit(cache=True, nogil=True)
def _four(x: Array, gain: float, c: Array) -> Array:
    """Four sections in one loop: each waits for its own last sample, so four take hardly longer than one."""
    y = np.empty_like(x)
    p1 = p2 = q1 = q2 = r1 = r2 = t1 = t2 = 0.0
    pb0, pb1, pb2, pa1, pa2 = c[0]
    qb0, qb1, qb2, qa1, qa2 = c[1]
    rb0, rb1, rb2, ra1, ra2 = c[2]
    tb0, tb1, tb2, ta1, ta2 = c[3]
    for n in range(x.size):
        v = gain * x[n]
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
        y[n] = t
    return y


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
    whole = x.size - x.size % 4
    for start in range(0, whole, 1024):
        a = b = c = d = np.float32(0)
        for n in range(start, min(start + 1024, whole), 4):
            a += x[n] * x[n]
            b += x[n + 1] * x[n + 1]
            c += x[n + 2] * x[n + 2]
            d += x[n + 3] * x[n + 3]
        total += (a + b) + (c + d)
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
_CHUNK = 1024


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
def compress(
    x: Array, threshold_db: float, attack_ms: float, release_ms: float, ratio: float, gain: float = 1.0
) -> Array:
    """x float32 [N] times `gain` through a feed-forward compressor.

    Level in dB, hard knee, then attack and release smooth the reduction (Giannoulis, Massberg and Reiss
    2012: log-domain detector, branching smoother). Levels are octaves here.
    With f(d) = keep * d, keep by the sign of d, the smoother s' = over + f(s - over) is carried as
    d = s - over, which leaves one multiplication, one choice and one sum between a sample and the next.
    """
    slope = np.float32(1 - 1 / ratio)
    threshold = np.float32(threshold_db * OCTAVES_PER_DB)
    scale = np.float32(gain)
    attack = np.float32(math.exp(-1 / (0.001 * RATE * attack_ms)))
    release = np.float32(math.exp(-1 / (0.001 * RATE * release_ms)))
    y = np.empty_like(x)
    level = np.empty(_CHUNK, np.float32)
    over = np.empty(_CHUNK, np.float32)
    step = np.empty(_CHUNK, np.float32)
    d: Real = np.float32(0)
    last: Real = np.float32(0)
    for start in range(0, x.size, _CHUNK):
        size = min(_CHUNK, x.size - start)
        for n in range(size):
            level[n] = max(abs(scale * x[start + n]), np.float32(1e-6))
        _log2(level[:size], over[:size])
        for n in range(size):
            over[n] = max(over[n] - threshold, np.float32(0)) * slope
        step[0] = last - over[0]
        for n in range(1, size):
            step[n] = over[n - 1] - over[n]
        last = over[size - 1]
        if release >= attack:
            for n in range(size):
                d += step[n]
                d = max(release * d, attack * d)
                level[n] = d
        else:
            for n in range(size):
                d += step[n]
                d = min(release * d, attack * d)
                level[n] = d
        for n in range(size):
            level[n] = -(level[n] + over[n])
        _exp2(level[:size], step[:size])
        for n in range(size):
            y[start + n] = scale * x[start + n] * step[n]
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
    feed = x * np.float32(0.03 * gain)
    feedback, low = np.float32(room * 0.28 + 0.7), np.float32(damping * 0.4)
    out = np.zeros((2, x.size), np.float32)
    for side in range(2):
        d = [tuning + side * _SPREAD for tuning in _COMBS]
        _four_combs(feed, out[side], feedback, low, *d[:4])
        _four_combs(feed, out[side], feedback, low, *d[4:])
        for tuning in _ALLPASSES:
            _allpass(out[side], tuning + side * _SPREAD)
    near, far = np.float32(1.5 * (1 + width)), np.float32(1.5 * (1 - width))
    return np.stack([near * out[0] + far * out[1], near * out[1] + far * out[0]])


@njit(cache=True, nogil=True)
def _four_combs(
    x: Array, y: Array, feedback: Real, damping: Real, d0: int, d1: int, d2: int, d3: int
) -> None:
    """Adds four damped combs to y, in one loop for the same reason as `_four`. The delays d rise."""
    keep = np.float32(1) - damping
    lines = np.zeros((4, x.size + d3), np.float32)  # line k holds what comes out at n in place n
    l0 = l1 = l2 = l3 = np.float32(0)
    for n in range(x.size):
        v = x[n]
        o0, o1, o2, o3 = lines[0, n], lines[1, n], lines[2, n], lines[3, n]
        l0 = o0 * keep + l0 * damping
        l1 = o1 * keep + l1 * damping
        l2 = o2 * keep + l2 * damping
        l3 = o3 * keep + l3 * damping
        lines[0, n + d0] = v + l0 * feedback
        lines[1, n + d1] = v + l1 * feedback
        lines[2, n + d2] = v + l2 * feedback
        lines[3, n + d3] = v + l3 * feedback
        y[n] += (o0 + o1) + (o2 + o3)


@njit(cache=True, nogil=True)
def _allpass(y: Array, d: int) -> None:
    """In place; a whole delay at a time, within which no sample waits for another."""
    held = np.zeros(d, np.float32)
    for start in range(0, y.size, d):
        for n in range(min(d, y.size - start)):
            out = held[n] - y[start + n]
            held[n] = y[start + n] + held[n] * np.float32(0.5)
            y[start + n] = out
