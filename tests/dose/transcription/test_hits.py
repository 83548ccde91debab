"""Activations to hits: peaks, their places between frames, one hi-hat at a time."""

import numpy as np
import pytest

from dose.transcription.decode import decode, peaks, vertex
from dose.transcription.front_end import FRAME_RATE
from dose.transcription.hits import HIT_CLASSES


def bells(frames: dict[str, list[tuple[float, float]]], length: int = 200) -> np.ndarray:
    """Probabilities [classes, length] with a bell at each (frame, height) of a class."""
    out = np.full((len(HIT_CLASSES), length), 1e-4)
    grid = np.arange(length)
    for name, places in frames.items():
        row = out[HIT_CLASSES.index(name)]
        for at, height in places:
            np.maximum(row, height * np.exp(-0.5 * (grid - at) ** 2), out=row)
    return out


@pytest.mark.parametrize("at", [50.0, 50.2, 50.49, 50.51, 50.8])
def test_a_hit_is_placed_between_frames(at):
    probabilities = bells({"kick": [(at, 0.9)]})
    [hit] = decode(probabilities, np.full_like(probabilities, 0.5))
    assert hit.seconds * FRAME_RATE == pytest.approx(at, abs=0.02)
    assert (hit.drum, hit.velocity) == ("kick", 64)


def test_hits_below_the_threshold_are_not_reported():
    probabilities = bells({"snare": [(20, 0.49), (60, 0.51)]})
    hits = decode(probabilities, np.ones_like(probabilities))
    assert [h.drum for h in hits] == ["snare"]
    assert hits[0].seconds == pytest.approx(60 / FRAME_RATE, abs=1e-4)
    assert len(decode(probabilities, np.ones_like(probabilities), threshold=0.4)) == 2


def test_fast_strokes_are_apart_and_a_plateau_is_one_hit():
    row = bells({"closed_hihat": [(10 + 5 * i, 0.9) for i in range(6)]})[2]
    assert peaks(row, 0.5) == [10, 15, 20, 25, 30, 35]
    flat = np.zeros(20)
    flat[5:9] = 0.8
    assert peaks(flat, 0.5) == [5, 8]  # as wide as two strokes
    flat[7:9] = 0
    assert peaks(flat, 0.5) == [5]


def test_the_first_and_last_frame_can_be_hits():
    row = np.zeros(10)
    row[[0, 9]] = 0.9
    assert peaks(row, 0.5) == [0, 9]
    assert vertex(row, 0) == 0.0
    assert vertex(row, 9) == 9.0


@pytest.mark.parametrize("distance", [0.0, 2.0])
def test_of_two_hats_at_once_the_more_probable_one_stays(distance):
    probabilities = bells(
        {"closed_hihat": [(30, 0.7)], "open_hihat": [(30 + distance, 0.9)], "kick": [(30, 0.8)]}
    )
    hits = decode(probabilities, np.ones_like(probabilities))
    assert sorted(h.drum for h in hits) == ["kick", "open_hihat"]


def test_hats_apart_both_stay():
    probabilities = bells({"closed_hihat": [(30, 0.7)], "open_hihat": [(36, 0.9)]})
    assert len(decode(probabilities, np.ones_like(probabilities))) == 2


def test_hits_come_in_the_order_of_time():
    probabilities = bells({"tom": [(10, 0.9), (90, 0.9)], "kick": [(50, 0.9)], "cymbal": [(70, 0.9)]})
    times = [h.seconds for h in decode(probabilities, np.zeros_like(probabilities))]
    assert times == sorted(times)
    assert len(times) == 4
