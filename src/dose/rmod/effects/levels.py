"""Peak, RMS and summing of float32 sound."""

import math

import numpy as np
from numba import njit

from dose.rmod.effects.simd import Real, load_f32x4, store

RMS_FLOOR = 1e-6  # below -120 dBFS a sound counts as silence, and its level is not restored


@njit(cache=True, nogil=True)
def peak(x: np.ndarray) -> Real:
    """Largest absolute value of float32 [N]."""
    top: Real = np.float32(0)
    for n in range(x.size):
        top = max(top, abs(x[n]))
    return top


@njit(cache=True, nogil=True)
def rms(x: np.ndarray) -> float:
    """Root mean square of float32 [N].

    Blocks of 1024 are summed in float32, in four lanes, and the blocks in float64: fast, and to 1e-5 of the
    float64 result (by test).
    """
    total: Real = 0.0
    sums = np.empty(4, np.float32)
    whole = x.size - x.size % 4
    # Four float32 partial sums per block: the order of sums is fixed by the code, not by the compiler.
    for start in range(0, whole, 1024):
        lanes = load_f32x4(np.zeros(4, np.float32), 0)
        for n in range(start, min(start + 1024, whole), 4):
            v = load_f32x4(x, n)
            lanes = lanes + v * v
        store(sums, 0, lanes)
        total += (sums[0] + sums[1]) + (sums[2] + sums[3])
    # The last up to three samples.
    for n in range(whole, x.size):
        total += x[n] * x[n]
    return math.sqrt(total / max(x.size, 1))


@njit(cache=True, nogil=True)
def mix_in(bus: np.ndarray, x: np.ndarray, left: float, right: float) -> None:
    """Adds x [N] to bus [2, N] with a gain for each channel."""
    left_gain, right_gain = np.float32(left), np.float32(right)
    for n in range(x.size):
        bus[0, n] += left_gain * x[n]
        bus[1, n] += right_gain * x[n]
