"""Seconds to beats and back, and quantisation, against slow versions and by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose.transcription.grid import apply_swing, beat_positions, quantise, seconds_at, straighten
from dose.transcription.hits import HIT_CLASSES, Hit, Rhythm

LENGTHS = st.lists(st.floats(0.25, 1.2), min_size=1, max_size=20)


def rhythm_of(beats, *, first=0, per_bar=4, swing=0.0, subdivision=2) -> Rhythm:
    return Rhythm(
        tempo=120,
        beats=tuple(beats),
        beats_per_bar=per_bar,
        first_downbeat=first,
        swing=swing,
        swing_subdivision=subdivision,
    )


def hit_at(seconds: float, drum: str = "kick", velocity: int = 100) -> Hit:
    return Hit(seconds=seconds, drum=drum, velocity=velocity, probability=0.9)


@st.composite
def rhythms(draw) -> Rhythm:
    start, lengths = draw(st.floats(0, 3)), draw(LENGTHS)
    return rhythm_of(
        start + np.cumsum([0, *lengths]),
        first=draw(st.integers(0, 3)),
        swing=draw(st.floats(0, 0.6)),
        subdivision=draw(st.sampled_from((2, 4))),
    )


def test_positions_follow_changes_of_tempo():
    """A beat of 0.5 s, then one of 1 s; outside, the neighbouring beat's length."""
    rhythm = rhythm_of([1.0, 1.5, 2.5], first=1)
    found = beat_positions(rhythm, [0.0, 1.0, 1.25, 1.5, 2.0, 2.5, 3.5, 4.0])
    assert found == pytest.approx([-3, -1, -0.5, 0, 0.5, 1, 2, 2.5])


def test_a_single_beat_goes_on_with_the_tempo():
    assert beat_positions(rhythm_of([1.0]), [0.5, 1.0, 2.0]) == pytest.approx([-1, 0, 2])


@pytest.mark.parametrize("beats", [[], [1.0, 1.0], [2.0, 1.0]])
def test_a_rhythm_without_rising_beats_is_an_error(beats):
    with pytest.raises(ValueError, match="rising order"):
        beat_positions(rhythm_of(beats), [0.0])


@given(rhythms(), st.lists(st.floats(-5, 40), max_size=20))
def test_seconds_come_back(rhythm, seconds):
    assert seconds_at(rhythm, beat_positions(rhythm, seconds)) == pytest.approx(seconds, abs=1e-9)


@given(rhythms(), st.lists(st.floats(-50, 50), min_size=2, max_size=20))
def test_straightening_keeps_order_and_leaves_what_does_not_swing(rhythm, positions):
    straight = straighten(np.sort(positions), rhythm.swing, rhythm.swing_subdivision)
    assert (np.diff(straight) >= -1e-9).all()
    pairs = np.arange(-4, 5) * 2 / rhythm.swing_subdivision  # a pair's first subdivision is never late
    assert straighten(pairs, rhythm.swing, rhythm.swing_subdivision) == pytest.approx(pairs)


@given(st.lists(st.floats(-50, 50), max_size=20), st.floats(-0.9, 0.9), st.sampled_from((2, 4)))
def test_swing_is_the_inverse_of_straightening(positions, swing, subdivision):
    there = straighten(np.array(positions), swing, subdivision)
    assert apply_swing(there, swing, subdivision) == pytest.approx(positions, abs=1e-9)


@pytest.mark.parametrize(
    ("subdivision", "swing", "played", "straight"),
    [
        (2, 1 / 3, [0, 1 / 3, 2 / 3, 1, 5 / 3], [0, 0.25, 0.5, 1, 1.5]),
        (4, 1 / 3, [0, 1 / 3, 0.5, 0.5 + 1 / 3], [0, 0.25, 0.5, 0.75]),
        (4, 0, [0.1, 0.3], [0.1, 0.3]),
    ],
)
def test_swing_is_undone(subdivision, swing, played, straight):
    assert straighten(np.array(played), swing, subdivision) == pytest.approx(straight)


def test_a_swing_of_a_whole_subdivision_is_an_error():
    with pytest.raises(ValueError, match="swing"):
        straighten(np.zeros(1), 1.0, 2)


@given(rhythms(), st.integers(-30, 60), st.floats(-0.49, 0.49), st.sampled_from(HIT_CLASSES))
def test_a_hit_near_a_step_is_quantised_to_it(rhythm, step, off, drum):
    """Played with the rhythm's swing and up to 0.49 steps off."""
    played = apply_swing(np.array([(step + off) / 4]), rhythm.swing, rhythm.swing_subdivision)
    [found] = quantise([hit_at(float(seconds_at(rhythm, played)[0]), drum)], rhythm)
    assert found.step == step


def test_the_louder_of_two_on_a_step_stays():
    rhythm = rhythm_of(np.arange(5) / 2)
    hits = [
        hit_at(0.51, velocity=60),
        hit_at(0.5, velocity=90),
        hit_at(0.52, velocity=90),
        hit_at(0.5, "tom"),
    ]
    found = quantise(hits, rhythm)
    assert [(q.step, q.hit.drum, q.hit.velocity, q.hit.seconds) for q in found] == [
        (4, "kick", 90, 0.5),
        (4, "tom", 100, 0.5),
    ]


def test_no_hits_are_no_steps():
    assert quantise([], rhythm_of([0, 1])) == []
