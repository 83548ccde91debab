"""The beat tracker against librosa's, which it follows, and at its edges."""

import subprocess
import sys

import librosa
import numpy as np
import pytest

from dose.rmod.realistic.styles import STYLES
from dose.transcription.rhythm.beat_tracking import _best_paths, track_beats
from dose.transcription.rhythm.pulse import FRAME_RATE, envelope
from experiments.metre import example


def by_librosa(onsets: np.ndarray, periods: np.ndarray, tightness: float) -> np.ndarray:
    tempo = 60 * FRAME_RATE / periods
    _, beats = librosa.beat.beat_track(
        onset_envelope=onsets, sr=FRAME_RATE, hop_length=1, bpm=tempo, tightness=tightness, trim=False
    )
    return beats


def clicks(frames: np.ndarray, count: int) -> np.ndarray:
    onsets = np.zeros(count)
    onsets[frames] = 1
    return onsets


@pytest.mark.parametrize("tightness", [400.0, 1600.0])
def test_beats_are_librosas(tightness):
    """But for a few, in exactly its frame: through silence two distances in either order score the same."""
    exact: list[bool] = []
    for number, style in enumerate(STYLES):
        groove = example(style, 600_000 + number, changes=True)
        onsets = envelope(groove.hits, groove.seconds)
        bent = np.linspace(1.05, 0.95, len(onsets))
        periods = np.rint(bent * 60 * FRAME_RATE / groove.tempo).astype(int)
        own, theirs = (f(onsets, periods, tightness) for f in (track_beats, by_librosa))
        assert len(own) == len(theirs)
        exact += (own == theirs).tolist()
    assert np.mean(exact) > 0.95


def test_paths_are_those_of_the_plain_recursion():
    rng = np.random.default_rng(0)
    strength = np.where(rng.random(400) < 0.05, rng.random(400), 0)
    periods = np.rint(np.linspace(20, 31, 400)).astype(int)
    total, previous = _best_paths(strength, periods, 5.0)
    for i, period in enumerate(periods):
        candidates = [j for j in range(i - 2 * period, i - round(period / 2) + 1) if j >= 0]
        scores = [total[j] - 5.0 * np.log((i - j) / period) ** 2 for j in candidates]
        assert total[i] == pytest.approx(strength[i] + max(scores, default=0))
        if candidates:
            assert scores[candidates.index(previous[i])] == pytest.approx(max(scores))
        else:
            assert previous[i] == -1


def test_beats_follow_a_change_of_the_period():
    frames = np.concatenate([np.arange(20, 520, 50), np.arange(520, 990, 40)])
    periods = np.where(np.arange(980) < 525, 50, 40)
    # The first onset has its predecessor in the silence, as if the music had begun before it.
    np.testing.assert_array_equal(track_beats(clicks(frames[1:], 980), periods, 100.0), frames)


def test_a_missing_onset_is_bridged_and_a_stray_one_passed_over():
    frames = np.arange(10, 1000, 50)
    played = np.sort(np.append(np.delete(frames, [0, 7]), 683))
    np.testing.assert_array_equal(track_beats(clicks(played, 980), np.full(980, 50), 400.0), frames)


def test_silence_before_and_after_the_music_has_one_beat_at_most():
    frames = np.arange(1000, 2000, 50)
    found = track_beats(clicks(frames, 5000), np.full(5000, 50), 400.0)
    assert set(frames) <= set(found)
    assert found[0] >= 950
    assert found[-1] <= 2000


def test_no_onsets_have_no_beats_and_a_single_one_is_one():
    assert len(track_beats(np.zeros(300), np.full(300, 50), 100.0)) == 0
    assert 150 in track_beats(clicks(np.array([150]), 300), np.full(300, 50), 100.0)


def test_a_rhythm_is_found_without_libraries_that_are_slow_to_import():
    """librosa and what it brings took 2.7 s at the first rhythm of a process, more than the extraction."""
    code = (
        "import sys\n"
        "from dose.transcription.hits import Hit\n"
        "from dose.transcription.rhythm import find_rhythm\n"
        "hits = [Hit(seconds=i / 4, drum='kick', velocity=99, probability=.9) for i in range(16)]\n"
        "assert find_rhythm(hits, 4.0).tempo > 0\n"
        "print([name for name in ('librosa', 'numba', 'sklearn', 'scipy.stats') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr
