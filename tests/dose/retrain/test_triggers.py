"""Every trigger, with a clock that the test sets."""

import datetime

import numpy as np
import pytest

from dose.errors import IntegrityError
from dose.retrain.config import RetrainConfig, Triggers
from dose.retrain.triggers import (
    DriftReference,
    FeedbackRecord,
    TriggerInputs,
    drift_distance,
    due,
    read_feedback,
)

OFF = Triggers(cron=None, new_clips=None, drift=None, confidence_fall=None, rerolls=None, window=4)


def at(day, hour=0):
    return datetime.datetime(2026, 3, day, hour, tzinfo=datetime.UTC)  # 2 March 2026 is a Monday


def only(**on):
    return Triggers(**{**vars(OFF), **on})


def inputs(**facts):
    return TriggerInputs(**{"now": at(2), "since": at(1), **facts})


def test_nothing_is_due_when_all_is_off():
    busy = inputs(
        now=at(30),
        new_clips=999,
        feedback=[FeedbackRecord(confidence=0, reroll=True)] * 9,
        baseline_confidence=1.0,
    )
    assert due(OFF, busy) == []


@pytest.mark.parametrize(
    ("since", "now", "fires"),
    [
        (at(1), at(2, 2), False),
        (at(1), at(2, 3), True),
        (at(2, 3), at(2, 3), False),  # a run began at this time
        (at(2, 3), at(9, 2), False),
        (at(2, 3), at(30), True),  # four missed ones are one run
    ],
)
def test_the_schedule_fires_once_for_any_number_of_missed_times(since, now, fires):
    found = due(only(cron="0 3 * * 1"), inputs(since=since, now=now))
    assert bool(found) == fires


def test_enough_new_sounds():
    assert due(only(new_clips=20), inputs(new_clips=19)) == []
    assert "20 new sounds" in due(only(new_clips=20), inputs(new_clips=20))[0]


def test_drift_needs_a_full_window_and_a_reference():
    near = [FeedbackRecord(confidence=1, reroll=False, features=(0.1, 5.0))] * 4
    far = [FeedbackRecord(confidence=1, reroll=False, features=(2.0, 5.0))] * 4
    reference = DriftReference(mean=(0.0, 5.0), spread=(1.0, 2.0))
    assert due(only(drift=0.5), inputs(feedback=near, reference=reference)) == []
    assert due(only(drift=0.5), inputs(feedback=far[:3], reference=reference)) == []
    assert due(only(drift=0.5), inputs(feedback=far)) == []
    assert "1.41 from" in due(only(drift=0.5), inputs(feedback=far, reference=reference))[0]


def test_drift_is_measured_in_the_references_own_spread():
    reference = DriftReference(mean=(0.0, 0.0), spread=(1.0, 10.0))
    assert drift_distance(np.array([[1.0, 10.0]]), reference) == pytest.approx(1.0)


def test_falling_confidence_and_rerolls_fire():
    high, low = FeedbackRecord(confidence=0.9, reroll=False), FeedbackRecord(confidence=0.5, reroll=True)
    assert due(only(confidence_fall=0.2), inputs(feedback=[high] * 4, baseline_confidence=0.9)) == []
    assert due(only(confidence_fall=0.2), inputs(feedback=[low] * 4)) == []
    fell = due(only(confidence_fall=0.2), inputs(feedback=[high, *[low] * 4], baseline_confidence=0.9))
    assert fell == ["The mean confidence fell from 0.90 to 0.50."]
    assert due(only(rerolls=0.5), inputs(feedback=[high, high, high, low])) == []
    assert "50%" in due(only(rerolls=0.5), inputs(feedback=[high, high, low, low]))[0]


def test_feedback_is_read_up_to_an_incomplete_line(tmp_path):
    path = tmp_path / "feedback.jsonl"
    assert read_feedback(path) == []
    path.write_text('{"confidence": 0.5, "reroll": true, "features": [1, 2]}\n{"confid')
    assert read_feedback(path) == [FeedbackRecord(confidence=0.5, reroll=True, features=(1, 2))]
    path.write_text('{"confidence": 0.5}\n')
    with pytest.raises(IntegrityError, match="no feedback record"):
        read_feedback(path)


@pytest.mark.parametrize("wrong", [{"cron": "every day"}, {"cron": "0 3 * * 1 0"}, {"new_clips": 0}])
def test_triggers_that_cannot_fire_are_refused(wrong):
    with pytest.raises(ValueError):
        Triggers(**wrong)


@pytest.mark.parametrize("wrong", [{"folder": "/etc"}, {"folder": "../x"}, {"attempts": 0}])
def test_contradictory_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        RetrainConfig(**wrong)
