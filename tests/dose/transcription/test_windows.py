"""Windows of a recording: all of it, once, whatever the blocks."""

import numpy as np
import pytest

from dose.audio import RATE
from dose.transcription.windows import SHORTEST_LOOP, STEP, WINDOW, cut

LENGTHS = [3, RATE, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + STEP, 3 * WINDOW + 777]


def song(total: int, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(total).standard_normal((channels, total)).astype(np.float32)


def blocks(sound: np.ndarray, size: int):
    return [sound[:, i : i + size] for i in range(0, sound.shape[1], size)]


@pytest.mark.parametrize("total", LENGTHS)
@pytest.mark.parametrize("size", [1000, RATE, 10 * WINDOW])
def test_windows_hold_the_recording_where_they_say(total, size):
    sound = song(total)
    windows = list(cut(blocks(sound, size)))
    for window in windows:
        assert window.audio.shape == (2, WINDOW)
        held = window.audio[:, : window.length]
        assert np.array_equal(held, sound[:, window.start : window.start + window.length])
    assert windows[-1].start + windows[-1].length == total
    assert all(w.length == WINDOW for w in windows[:-1])


@pytest.mark.parametrize("total", LENGTHS)
def test_every_moment_belongs_to_one_window(total):
    owned = np.zeros(total, int)
    for window in cut(blocks(song(total), 5000)):
        assert 0 <= window.first < window.last <= window.length
        owned[window.start + window.first : window.start + window.last] += 1
    assert (owned == 1).all()


def test_inner_windows_own_what_lies_a_second_from_their_edges():
    inner = list(cut([song(5 * WINDOW)]))[2]
    assert (inner.first, inner.last) == (STEP // 2, STEP + STEP // 2)


def test_loops_are_repeated_and_shorter_sounds_padded():
    [looped] = cut([song(SHORTEST_LOOP)])
    assert np.array_equal(looped.audio[:, SHORTEST_LOOP : 2 * SHORTEST_LOOP], looped.audio[:, :SHORTEST_LOOP])
    [padded] = cut([song(SHORTEST_LOOP - 1)])
    assert not padded.audio[:, SHORTEST_LOOP - 1 :].any()


def test_more_than_two_channels_become_one():
    [window] = cut([song(RATE, channels=6)])
    assert window.audio.shape == (1, WINDOW)


def test_nothing_gives_no_window():
    assert list(cut([])) == []
