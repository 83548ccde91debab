import numpy as np
import pytest

from dose import audio
from dose.sources.cleaning import ONE_SHOT, PEAK, PRE_ROLL, Reject, clean, flat_share

RATE = 44100


def hit(seconds=0.5, decay=12.0) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return np.random.default_rng(0).standard_normal(len(time)) * 0.2 * np.exp(-time * decay)


def test_lead_in_is_cut_up_to_the_pre_roll_and_reported():
    sound = np.concatenate([np.zeros(800), hit()])
    cleaned = clean(sound, "oneshot", "x")
    onset = audio.lead_in(sound)
    assert cleaned.lead_in_ms == pytest.approx((onset - PRE_ROLL) / RATE * 1000, abs=0.001)
    assert audio.lead_in(cleaned.sound) <= PRE_ROLL + 1
    assert cleaned.peak_db == pytest.approx(20 * np.log10(np.abs(sound).max()), abs=0.001)
    assert np.abs(cleaned.sound).max() == pytest.approx(PEAK)


def test_a_sound_that_starts_at_once_keeps_its_attack():
    sound = hit()
    sound[0] = 1.0
    assert clean(sound, "oneshot", "x").sound[0] == pytest.approx(PEAK)


def test_a_long_shot_is_cropped_to_a_second_that_ends_in_silence():
    cleaned = clean(hit(8.0, decay=0.3), "oneshot", "x")
    assert len(cleaned.sound) == ONE_SHOT
    assert abs(cleaned.sound[-1]) < 1e-6
    assert np.abs(cleaned.sound[-3000:-1000]).max() > 0.05


def test_an_abrupt_end_is_faded():
    cleaned = clean(hit(0.3, decay=1.0), "oneshot", "x")
    assert abs(cleaned.sound[-1]) < 1e-6


def test_loops_are_cut_at_the_given_length():
    assert len(clean(hit(9.0, decay=0.01), "loop", "x", 5.0).sound) == 5 * RATE


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros(0), "empty"),
        (np.zeros(RATE), "silent"),
        (1e-4 * hit(), "silent"),
        (np.full(RATE, np.nan), "non-finite"),
        (np.clip(hit() * 1000, -1, 1), "clipped"),
        (hit()[:200], "too short"),
    ],
)
def test_what_cannot_be_used_has_a_reason(sound, reason):
    with pytest.raises(Reject, match="the name") as e:
        clean(sound, "oneshot", "the name")
    assert e.value.reason == reason


def test_flat_tops_are_fine_where_they_are_meant():
    square = np.clip(hit() * 1000, -1, 1)
    assert flat_share(square) > 0.5
    assert flat_share(hit()) == 0
    assert flat_share(np.clip(hit() * 3, -1, 1)) < 0.2
    assert len(clean(square, "oneshot", "x", synthetic=True).sound)
