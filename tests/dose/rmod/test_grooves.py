"""Grooves of the realistic distribution: what their rhythm says is where their hits are."""

import dataclasses

import numpy as np
import pytest

from dose.rmod.realistic import grooves
from dose.rmod.realistic.grooves import TRACKS, draw_groove
from dose.rmod.realistic.styles import STYLES


def drawn(seed: int, style: str | None = None, seconds: float = 8.0) -> grooves.Groove:
    return draw_groove(np.random.default_rng(seed), seconds, style)


@pytest.fixture
def exact(monkeypatch):
    """Styles played by machines, without fills, crashes, variations of hats or percussion."""
    for name in ("FILL", "CRASH", "PERCUSSIVE", "TOM_GROOVE", "OPENED", "WASHY", "EMPTY_TRACK"):
        monkeypatch.setattr(grooves, name, 0.0)
    for name, style in STYLES.items():
        changed = dataclasses.replace(style, electronic=1.0, ghosts=0.0, rolls=0.0, ride=0.0)
        monkeypatch.setitem(STYLES, name, changed)


@pytest.mark.parametrize("style", STYLES)
def test_bars_of_a_style_have_one_length(style):
    s = STYLES[style]
    steps = 4 * s.beats_per_bar
    assert all(len(bar) == steps for bar in (*s.kicks, *s.snares, *s.hats))
    assert {c for bar in (*s.kicks, *s.snares, *s.hats) for c in bar} <= {*grooves.MARKS, "-"}


def test_a_groove_depends_on_its_generator_alone():
    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_hits_lie_in_the_cut_rise_and_have_midi_velocities():
    for seed in range(60):
        groove = drawn(seed, seconds=5.0)
        assert set(groove.hits) == set(TRACKS)
        for hits in groove.hits.values():
            times = [h.seconds for h in hits]
            assert all(0 <= t < 5.0 for t in times)
            assert np.all(np.diff(times) >= 0.015)
            assert all(1 <= h.velocity <= 127 for h in hits)


@pytest.mark.parametrize("seed", range(12))
def test_four_on_the_floor_is_on_the_beats(exact, seed):
    groove = drawn(seed, "house")
    kicks = np.array([h.seconds for h in groove.hits["kick"]])
    beats = np.array(groove.beats)
    assert np.diff(beats) == pytest.approx(60 / groove.tempo, abs=1e-6)
    on_beat = np.abs(beats[:, None] - kicks).min(axis=0) < 0.002
    assert on_beat.mean() > 0.8


@pytest.mark.parametrize("seed", range(12))
def test_the_first_downbeat_is_where_bars_begin(exact, seed):
    groove = drawn(seed, "trap", seconds=16.0)
    # The snare of this style plays on the third beat only.
    bar = 60 / groove.tempo * groove.beats_per_bar
    downbeat = groove.beats[groove.first_downbeat]
    for hit in (*groove.hits["snare"], *groove.hits["clap"]):
        assert (hit.seconds - downbeat) / bar % 1 == pytest.approx(0.5, abs=0.01)


def test_swing_delays_every_second_subdivision():
    assert grooves._swung(1.0, 1 / 3, 4) == pytest.approx(4 / 3)
    assert grooves._swung(2.0, 1 / 3, 4) == pytest.approx(2.0)
    assert grooves._swung(2.0, 1 / 3, 2) == pytest.approx(2 + 2 / 3)
    assert grooves._swung(3.0, 0.0, 4) == pytest.approx(3.0)
    positions = np.linspace(0, 16, 200)
    assert np.all(np.diff([grooves._swung(p, 0.38, 2) for p in positions]) > 0)


def test_over_many_grooves_every_class_is_hit():
    found = dict.fromkeys(TRACKS, 0)
    for seed in range(200):
        for track, hits in drawn(seed).hits.items():
            found[track] += bool(hits)
    assert all(count >= 15 for count in found.values()), found
    assert found["kick"] > 180


def test_ghost_notes_are_soft():
    ghosts = [h.velocity for s in range(30) for h in drawn(s, "funk").hits["snare"] if h.velocity < 60]
    accents = [h.velocity for s in range(30) for h in drawn(s, "funk").hits["snare"] if h.velocity > 95]
    assert len(ghosts) > 50
    assert len(accents) > 50
