"""Eight sounds in SIMD lanes against each one alone: the same bytes."""

import numpy as np
import pytest
from numba import njit

from dose.rmod import effects
from dose.rmod.effects import simd


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(5).uniform(-1, 1, (8, 2080)).astype(np.float32)


def test_rows_become_columns_and_rows_again(rows):
    block = np.full(8 * 40, np.nan, np.float32)
    simd.interleave(rows, 16, 40, block)
    np.testing.assert_array_equal(block.reshape(40, 8), rows[:, 16:56].T)
    back = np.zeros_like(rows)
    simd.deinterleave(block, back, 8, 40)
    np.testing.assert_array_equal(back[:, 8:48], rows[:, 16:56])
    assert not back[:, :8].any()
    assert not back[:, 48:].any()


@njit
def _formula(x, y, out):
    for n in range(0, x.size, 8):
        a, b = simd.load_f32x8(x, n), simd.load_f32x8(y, n)
        simd.store(out, n, simd.select_by_sign(a, a * b + a, a - b))


@njit
def _twice_as_wide(x, out):
    for n in range(0, x.size, 8):
        wide = simd.widen(simd.load_f32x8(x, n))
        simd.store(out, n, simd.narrow(wide * wide * wide))


def test_vector_arithmetic_equals_scalar_arithmetic(rows):
    x, y = rows[0].copy(), rows[1].copy()
    out = np.empty_like(x)
    _formula(x, y, out)
    np.testing.assert_array_equal(out, np.where(x >= 0, x * y + x, x - y))
    _twice_as_wide(x, out)
    np.testing.assert_array_equal(out, (x.astype(np.float64) ** 2 * x).astype(np.float32))


def _one_by_one(x, sections, gain):
    """float64 state, a section and a sample at a time."""
    y = x.astype(np.float64) * gain
    for b0, b1, b2, a1, a2 in sections.tolist():
        s1 = s2 = 0.0
        for n, v in enumerate(y.tolist()):
            out = b0 * v + s1
            s1 = b1 * v - a1 * out + s2
            s2 = b2 * v - a2 * out
            y[n] = out
    return y.astype(np.float32)


def test_the_equaliser_of_eight_tracks_is_eight_equalisers(rows):
    kinds = [effects.low_shelf(40, -2, 0.7), *(effects.peak_filter(hz, 2, 3) for hz in (70, 300, 4000))]
    sections = [np.array(kinds[: 1 + i % 4]) for i in range(8)]
    gains = [0.3 * (i + 1) * (-1) ** i for i in range(8)]
    got = rows.copy()
    effects.apply_eq(got, sections, gains)
    for i in range(8):
        np.testing.assert_array_equal(got[i], _one_by_one(rows[i], sections[i], gains[i]))


def test_the_compressor_of_a_track_is_independent_of_the_others(rows):
    settings = np.array([[-10.0 - 4 * i, 1 + 10 * i, 80 - 10 * i, 1.5 + i, 0.5 + i] for i in range(7)])
    together = rows.copy()
    effects.compress(together, settings)
    np.testing.assert_array_equal(together[7], rows[7])  # has no settings
    for i in range(7):
        alone = np.zeros_like(rows)
        alone[0] = rows[i]
        effects.compress(alone, settings[i : i + 1])
        np.testing.assert_array_equal(alone[0], together[i])
        assert not np.array_equal(alone[0], rows[i] * np.float32(settings[i, 4]))
