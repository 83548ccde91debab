"""How a one-shot ends: traces after the end of the reference, and its length, where the answers are known."""

import numpy as np
import pytest

from dose.metrics.tail import FLOOR_DB, length_error, tail_level

RATE = 44100
T = np.arange(RATE) / RATE


def decaying(seconds_to_60_db: float) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(RATE) * 10 ** (-3 * T / seconds_to_60_db)).astype(np.float32)


def with_trace(shot: np.ndarray, at: float, db: float) -> np.ndarray:
    """`shot` and, at a time after its end, 50 ms of noise at a level against its loudest frame."""
    out, start = shot.copy(), int(at * RATE)
    own = np.sqrt(np.mean(shot[:256] ** 2))
    out[start : start + 2205] += (10 ** (db / 20) * own * np.sign(np.sin(9000 * T[:2205]))).astype(np.float32)
    return out


def test_identical_sounds_have_no_trace_and_no_error():
    shot = decaying(0.4)
    assert tail_level(shot, shot)[0] < -50
    assert length_error(shot, shot)[0] == 0


@pytest.mark.parametrize("db", [-20.0, -35.0, -45.0])
def test_a_trace_after_the_end_has_its_level(db):
    shot = decaying(0.3)
    assert tail_level(with_trace(shot, 0.7, db), shot)[0] == pytest.approx(db, abs=2)


def test_silence_after_the_end_is_the_floor():
    shot = decaying(0.3)
    cut = np.where(T < 0.2, shot, 0)
    assert tail_level(cut, shot)[0] == FLOOR_DB


def test_the_length_is_that_to_40_db():
    # 40 dB of a decay of 60 dB in x seconds take 2 x / 3.
    error = length_error(np.stack([decaying(0.6), decaying(0.3)]), np.stack([decaying(0.3), decaying(0.6)]))
    assert error == pytest.approx([200, 200], abs=15)


def test_no_figure_where_there_is_none():
    endless = np.ones(RATE, np.float32)
    silence = np.zeros(RATE, np.float32)
    assert np.isnan(tail_level(decaying(0.3), endless)[0])
    assert np.isnan(tail_level(silence, decaying(0.3))[0])
    assert np.isnan(length_error(decaying(0.3), silence)[0])
