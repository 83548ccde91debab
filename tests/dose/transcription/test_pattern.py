"""The typical bar: medoid against a slow version, bars that count, and its form in JSON."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dose.transcription.hits import HIT_CLASSES, Hit, Rhythm, Transcription
from dose.transcription.pattern import CLASS_WEIGHTS, VELOCITY_WEIGHT, groove_facts, typical_bar

STEP = 0.125  # seconds: a sixteenth at 120 beats per minute


def transcription(bars, *, offset=0.0, first=0, seconds=None, per_bar=4) -> Transcription:
    """Bars as lists of (class, step, velocity); the first downbeat lies `first` beats after `offset`."""
    length = 4 * per_bar * STEP
    start = offset + first * 4 * STEP
    hits = [
        Hit(seconds=start + b * length + step * STEP, drum=drum, velocity=velocity, probability=0.9)
        for b, bar in enumerate(bars)
        for drum, step, velocity in bar
    ]
    beats = offset + 4 * STEP * np.arange(first + per_bar * len(bars))
    rhythm = Rhythm(
        tempo=120,
        beats=tuple(beats.tolist()),
        beats_per_bar=per_bar,
        first_downbeat=first,
        swing=0.1,
        swing_subdivision=4,
    )
    end = start + len(bars) * length if seconds is None else seconds
    return Transcription(hits=tuple(sorted(hits, key=lambda h: h.seconds)), seconds=end, rhythm=rhythm)


def played(pattern) -> set[tuple[str, int, int]]:
    return {(c, s, v) for c, row in pattern.velocities.items() for s, v in enumerate(row) if v}


BEAT = [("kick", 0, 110), ("snare", 4, 100), ("kick", 8, 105), ("snare", 12, 100), ("closed_hihat", 2, 60)]
FILL = [("tom", step, 90) for step in range(0, 16, 2)]


def test_the_beat_is_chosen_and_not_the_fill_nor_the_empty_bar():
    pattern = typical_bar(transcription([FILL, [], BEAT, BEAT, []]))
    assert played(pattern) == set(BEAT)
    assert pattern.start == pytest.approx(2 * 16 * STEP)  # the earlier of two equal ones
    assert (pattern.tempo, pattern.swing, pattern.swing_subdivision) == (120, 0.1, 4)
    assert pattern.steps == 16
    assert {len(row) for row in pattern.velocities.values()} == {16}
    assert tuple(pattern.velocities) == HIT_CLASSES


def test_a_medoid_is_one_of_the_bars_and_not_their_mean():
    louder = [(d, s, v + 10) for d, s, v in BEAT]
    quieter = [(d, s, v - 10) for d, s, v in BEAT]
    assert played(typical_bar(transcription([quieter, louder, BEAT]))) == set(BEAT)


def test_a_bar_of_three_beats_has_twelve_steps():
    pattern = typical_bar(transcription([[("kick", 0, 100), ("snare", 11, 90)]], per_bar=3))
    assert pattern.steps == 12
    assert played(pattern) == {("kick", 0, 100), ("snare", 11, 90)}


def test_bars_that_are_cut_count_only_where_there_is_no_other():
    """A bar between two that are cut: of the three, the last has the smallest distances."""
    before = [("tom", step - 16, 90) for step in (8, 10, 12, 14)]
    bars = [[*before, *BEAT], [("tom", 0, 90)]]
    assert played(typical_bar(transcription(bars, first=2, seconds=(8 + 16 + 4) * STEP))) == set(BEAT)
    assert played(typical_bar(transcription([[*before, *BEAT], *bars[1:]], first=4))) == {("tom", 0, 90)}
    cut = transcription([BEAT], seconds=13 * STEP)
    assert played(typical_bar(cut)) == set(BEAT)
    # The pickup is the only bar with hits; it begins before the recording.
    pickup = transcription([[("snare", -2, 80)], []], first=1)
    pattern = typical_bar(pickup)
    assert played(pattern) == {("snare", 14, 80)}
    assert pattern.start == pytest.approx(4 * STEP - 16 * STEP)


def test_a_loop_cut_a_little_early_is_whole():
    assert played(typical_bar(transcription([FILL, BEAT, BEAT], seconds=48 * STEP - 0.04))) == set(BEAT)
    assert typical_bar(transcription([FILL, BEAT], offset=-0.01)).start == pytest.approx(-0.01)


def test_without_rhythm_or_hits_there_is_none():
    hits = transcription([BEAT])
    assert typical_bar(Transcription(hits=hits.hits, seconds=2, rhythm=None)) is None
    assert typical_bar(Transcription(hits=(), seconds=2, rhythm=hits.rhythm)) is None


BARS = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from(HIT_CLASSES), st.integers(0, 15)),
        st.integers(1, 127),
        min_size=1,
        max_size=6,
    ),
    min_size=1,
    max_size=6,
)


@given(BARS)
def test_the_medoid_against_a_slow_version(bars):
    listed = [[(drum, step, velocity) for (drum, step), velocity in bar.items()] for bar in bars]

    def distance(a: dict, b: dict) -> float:
        total = 0.0
        for place in a.keys() | b.keys():
            both = place in a and place in b
            share = VELOCITY_WEIGHT * abs(a[place] - b[place]) / 127 if both else 1.0
            total += CLASS_WEIGHTS[place[0]] * share
        return total

    sums = [0.0] * len(bars)
    for i, j in itertools.product(range(len(bars)), repeat=2):
        sums[i] += distance(bars[i], bars[j])
    sums = [round(s, 9) for s in sums]
    straight = transcription(listed)
    rhythm = Rhythm(**{**vars(straight.rhythm), "swing": 0.0})
    pattern = typical_bar(Transcription(hits=straight.hits, seconds=straight.seconds, rhythm=rhythm))
    assert played(pattern) == set(listed[sums.index(min(sums))])


def test_every_class_has_a_weight():
    assert tuple(CLASS_WEIGHTS) == HIT_CLASSES


def test_facts_are_json():
    facts = groove_facts(transcription([BEAT], offset=0.25))
    assert json.loads(json.dumps(facts)) == facts
    assert list(facts) == [
        *(
            "tempo",
            "beats_per_bar",
            "swing",
            "swing_subdivision",
            "first_downbeat",
            "beats",
            "hits",
            "pattern",
        ),
    ]
    assert facts["beats"] == [0.25, 0.75, 1.25, 1.75]
    assert facts["hits"][0] == {"time": 0.25, "drum": "kick", "velocity": 110, "probability": 0.9}
    assert facts["pattern"]["start"] == 0.25
    assert facts["pattern"]["velocities"]["kick"] == [110, *[0] * 7, 105, *[0] * 7]


def test_facts_without_rhythm():
    assert groove_facts(None) is None
    facts = groove_facts(Transcription(hits=transcription([BEAT]).hits, seconds=2, rhythm=None))
    assert len(facts["hits"]) == 5
    assert facts["beats"] == []
    assert facts["tempo"] is facts["first_downbeat"] is facts["pattern"] is None
