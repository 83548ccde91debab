"""Fitting the network that chooses tempo and metre, at a tiny size, and the grooves that it is fitted to."""

import numpy as np
import pytest

from dose.rmod.realistic.styles import STYLES
from dose.transcription.hits import Rhythm
from dose.transcription.rhythm.metre import Scorer, candidates
from experiments import metre


def test_an_example_is_a_pure_function_of_style_and_seed():
    a, b, other = (metre.example("rock", seed) for seed in (5, 5, 6))
    assert a.hits == b.hits
    assert a.hits != other.hits
    np.testing.assert_array_equal(a.beats, b.beats)


def test_a_loop_holds_whole_bars_and_starts_on_a_downbeat():
    loop = metre.example("funk", 3, bars=2)
    assert loop.seconds == pytest.approx(8 * 60 / loop.tempo)
    assert (loop.first_downbeat, loop.beats[0], len(loop.beats)) == (0, 0, 8)
    assert max(hit.seconds for hit in loop.hits) <= loop.seconds


@pytest.mark.parametrize("seed", range(4))
def test_changes_of_tempo_move_hits_and_beats_alike(seed):
    plain, changed = (metre.example("house", seed, changes=c) for c in (False, True))
    periods = np.diff(changed.beats)
    assert (periods > 0).all()
    assert periods.max() / periods.min() > 1.01
    assert periods.max() / periods.min() < 1.25
    assert len(changed.beats) == len(plain.beats)
    # Four on the floor: most kicks lie on a beat, in either.
    for e in (plain, changed):
        kicks = np.array([hit.seconds for hit in e.hits if hit.drum == "kick"])
        assert len(kicks) > 10
        assert np.mean(np.abs(kicks[:, None] - e.beats).min(axis=1) < 0.03) > 0.7


def test_grades():
    reference = metre.example("rock", 1)
    right = Rhythm(
        tempo=reference.tempo,
        beats=tuple(reference.beats.tolist()),
        beats_per_bar=reference.beats_per_bar,
        first_downbeat=reference.first_downbeat,
        swing=0.0,
        swing_subdivision=2,
    )
    values = vars(right)
    assert metre.grade(right, reference) == 4
    assert metre.grade(Rhythm(**values | {"first_downbeat": (right.first_downbeat + 1) % 4}), reference) == 3
    assert metre.grade(Rhythm(**values | {"beats_per_bar": 3}), reference) == 2
    late = tuple(b + 30 / right.tempo for b in right.beats)
    assert metre.grade(Rhythm(**values | {"beats": late}), reference) == 1
    assert metre.grade(Rhythm(**values | {"tempo": 2 * right.tempo}), reference) == 0


def test_a_fitted_network_chooses_better_than_chance(monkeypatch):
    monkeypatch.setattr(metre, "EPOCHS", 15)
    monkeypatch.setattr(metre, "STYLES", {name: STYLES[name] for name in ("rock", "house", "waltz")})
    arrays, names = metre.fit([metre.example(s, i) for s in metre.STYLES for i in range(8)])
    fitted = Scorer(names=names, **arrays)
    chosen, chance = [], []
    for reference in (metre.example(s, 900 + i) for s in metre.STYLES for i in range(4)):
        found = list(candidates(reference.hits, reference.seconds))
        right = np.array([metre.grade(c, reference) >= 2 for c in found])
        chosen.append(right[fitted.scores([c.features for c in found]).argmax()])
        chance.append(right.mean())
    assert np.mean(chance) < 0.3
    assert np.mean(chosen) > 0.7


def test_the_report_has_a_line_per_style_and_one_for_all():
    lines = metre.report([metre.example("rock", i) for i in range(2)]).splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["rock", "2"], ["all", "2"]]
