"""Which hits condition a model: the certain and free ones, by activations made by hand."""

import numpy as np
import pytest
from test_hits import bells

from dose.audio import RATE
from dose.drums import DRUMS
from dose.transcription import detector
from dose.transcription.front_end import HOP
from dose.transcription.hits import CLASSES_OF
from dose.transcription.onset import MIN_DISTANCE, Onset
from dose.transcription.onsets import DISTURBS, choose_onsets, find_onsets
from dose.transcription.transcribe import Activations


def heard(velocity: float = 0.5, **frames) -> Activations:
    onsets = bells(frames, length=400)
    return Activations(onsets=onsets, velocities=np.full_like(onsets, velocity))


def test_free_hits_come_before_those_that_other_drums_cover():
    found = heard(kick=[(50, 0.95), (150, 0.9), (250, 0.95)], snare=[(52, 0.9), (250, 0.9)])
    assert round(find_onsets(found, "kick", 3)[0].start / HOP) == 150
    assert {round(o.start / HOP) for o in find_onsets(found, "kick", 3)} == {50, 150, 250}


def test_a_hit_that_its_own_next_one_cuts_short_comes_later():
    found = heard(kick=[(50, 0.9), (70, 0.9), (200, 0.9)])
    assert round(find_onsets(found, "kick", 1)[0].start / HOP) in (70, 200)
    assert round(find_onsets(found, "kick", 3)[-1].start / HOP) == 50


def test_uncertain_peaks_count_only_where_there_are_no_hits():
    found = heard(snare=[(50, 0.9), (150, 0.3)])
    assert [round(o.start / HOP) for o in find_onsets(found, "snare", 4)] == [50]
    guesses = find_onsets(heard(snare=[(50, 0.2), (150, 0.3)]), "snare", 4)
    assert [round(o.start / HOP) for o in guesses] == [150, 50]
    assert guesses[0].likelihood == pytest.approx(0.3)


def test_of_the_hats_the_one_that_is_played_most():
    closed = heard(closed_hihat=[(50, 0.9), (100, 0.9)], open_hihat=[(200, 0.95)])
    assert [round(o.start / HOP) for o in find_onsets(closed, "hihat", 4)] == [50, 100, 200]
    opened = heard(closed_hihat=[(50, 0.9)], open_hihat=[(200, 0.95), (300, 0.9)])
    assert {round(o.start / HOP) for o in find_onsets(opened, "hihat", 2)} == {200, 300}


def test_onsets_are_apart_and_in_the_order_of_their_rank():
    found = heard(closed_hihat=[(10 + 5 * i, 0.6 + 0.01 * i) for i in range(30)])
    onsets = find_onsets(found, "hihat", 10)
    starts = np.sort([o.start for o in onsets])
    assert len(onsets) == 10
    assert np.diff(starts).min() >= MIN_DISTANCE * RATE
    assert [o.rank for o in onsets] == sorted((o.rank for o in onsets), reverse=True)


def test_every_class_of_another_drum_disturbs():
    for drum in DRUMS:
        assert not set(DISTURBS[drum]) & set(CLASSES_OF[drum])
        for other, weight in DISTURBS[drum].items():
            own = CLASSES_OF[drum][0]
            free = find_onsets(heard(**{own: [(100, 0.9)]}), drum, 1)[0]
            covered = find_onsets(heard(**{own: [(100, 0.9)], other: [(101, 0.9)]}), drum, 1)[0]
            assert covered.rank == pytest.approx(free.rank - 0.9 * weight, abs=0.02)


def test_onsets_lie_inside_the_mix():
    found = heard(kick=[(399, 0.9)], snare=[(0, 0.9)])
    assert find_onsets(found, "kick", 1)[0].start == 399 * HOP - 1
    assert find_onsets(found, "snare", 1)[0].start == 0


def test_silence_has_guesses_for_none_and_an_unknown_drum_is_refused():
    assert find_onsets(Activations(onsets=np.zeros((7, 400)), velocities=np.zeros((7, 400))), "kick", 4) == []
    with pytest.raises(ValueError, match="cowbell"):
        find_onsets(heard(), "cowbell", 1)


def test_onsets_of_the_detector_are_ranked_by_agreement_with_the_network(monkeypatch):
    """Models of the detector keep its times and likelihoods; the network only changes which come first."""
    ranks = {50 * HOP: 0.9, 150 * HOP: 0.5, 250 * HOP: 0.4}
    offered = [Onset(start=start, likelihood=0.5, rank=rank) for start, rank in ranks.items()]
    monkeypatch.setattr(detector, "find_onsets", lambda mix, drum, count, likelihoods: offered)
    mix, found = np.zeros(4 * RATE, np.float32), heard(kick=[(151, 0.95)])
    agreed = choose_onsets("detector", mix, found, "kick", 2)
    assert [o.start for o in agreed] == [150 * HOP, 50 * HOP]
    assert [o.likelihood for o in agreed] == [0.5, 0.5]
    assert [o.start for o in choose_onsets("network", mix, found, "kick", 2)] == [151 * HOP]
