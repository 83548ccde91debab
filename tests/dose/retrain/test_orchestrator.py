"""Four weeks of the orchestrator with crashes, a full disk and an unreachable store; see `retrain_world`."""

import errno
import json
import os
import socket

import pytest
from retrain_world import Calendar, Killed

from dose.errors import DoseError
from dose.retrain.lock import AlreadyRunningError, Lock
from dose.retrain.run_state import PHASES


@pytest.fixture
def calendar(tmp_path):
    made = Calendar(tmp_path)
    assert made.go().status == "idle"  # the first look starts the calendar
    return made


def test_four_weeks(calendar):
    """Hourly starts, with everything going wrong once; triggers fire when they should and not otherwise."""
    steps, began, errors = calendar.steps, [], []
    crashes = {(10 + i // 2, 6 + 8 * (i % 2)): phase for i, phase in enumerate(PHASES)}
    for hour in range(28 * 24):
        day, of_day = divmod(hour, 24)
        calendar.at(day, of_day)
        if (day, of_day) == (2, 10):
            steps.sounds = 19  # one short of a trigger: they wait for Monday
        if (day, of_day) == (9, 5):
            steps.sounds, steps.better = 25, ("kick",)  # late data: does not wait for Monday
            steps.kill_in = "repro"
        if (day, of_day) == (10, 0):
            steps.better = ()
        if (day, of_day) in crashes:
            steps.sounds, steps.kill_in = 20, crashes[day, of_day]
        if (day, of_day) == (15, 0):
            steps.sounds, steps.fails = 30, {"repro": DoseError("It does not converge.")}
        if (day, of_day) == (16, 0):
            steps.fails = {}
        if (day, of_day) == (17, 0):
            calendar.free_bytes, steps.sounds = 10**6, 40
        if (day, of_day) == (18, 0):
            calendar.free_bytes = 100 * 10**9
        if (day, of_day) == (23, 1):
            steps.sounds, steps.better = 21, ("snare",)
            steps.fails = {"promote": ConnectionError("MLflow is unreachable")}
        if (day, of_day) == (23, 3):
            steps.fails = {}
        before = dict(steps.champions)
        try:
            outcome = calendar.go()
        except (DoseError, Killed) as e:
            errors.append((day, of_day, type(e).__name__))
            assert steps.champions == before
            continue
        if outcome.status not in ("idle",):
            began.append((day, of_day, outcome.status))
        assert all(steps.champions.values())  # always servable
        assert set(steps.champions.values()) - {"v0"} <= set(calendar.reports())
    assert began == [
        (0, 3, "kept"),  # Monday
        (7, 3, "kept"),  # Monday, with the 19 sounds
        (9, 6, "promoted"),  # the sounds of day 9, killed once and gone on with an hour later
        *((day, hour + 1, "kept") for day, hour in crashes),
        (14, 3, "nothing to do"),
        (15, 2, "failed"),  # the third start gives the run up
        (18, 0, "kept"),  # what waited while the disk was full
        (21, 3, "nothing to do"),
        (23, 3, "promoted"),  # after two starts without MLflow
    ]
    assert [t[:2] for t in errors if t[2] == "Killed"] == [(9, 5), *crashes]
    assert [t for t in errors if t[0] == 15] == [(15, 0, "DoseError"), (15, 1, "DoseError")]
    assert len([t for t in errors if t[0] == 17]) == 24
    assert steps.champions["kick"] != "v0"
    assert steps.champions["hihat"] == "v0"
    assert all(steps.reported_before_promotion)
    assert not (calendar.home / "run_state.json").exists()
    assert not (calendar.home / "lock.json").exists()


@pytest.mark.parametrize("phase", PHASES)
def test_the_start_after_a_kill_within_any_phase_completes_the_run(calendar, phase):
    steps = calendar.steps
    steps.sounds, steps.better, steps.kill_in = 20, ("kick",), phase
    with pytest.raises(Killed):
        calendar.go()
    outcome = calendar.at(0, 1).go()
    assert outcome.status == "promoted"
    assert steps.phases == [*PHASES[: PHASES.index(phase) + 1], *PHASES[PHASES.index(phase) :]]
    assert steps.registered == steps.bentos == {outcome.run.id} == set(calendar.reports())
    assert steps.champions == {"kick": outcome.run.id, "snare": "v0", "hihat": "v0"}
    assert calendar.go().status == "idle"


@pytest.mark.parametrize("write", range(1, 14))
def test_the_start_after_a_kill_between_any_two_writes_completes_the_run(calendar, write, monkeypatch):
    from dose import files

    calendar.steps.sounds, calendar.steps.better = 20, ("kick",)
    count, real = 0, files.write_json

    def write_json(path, value):
        nonlocal count
        if path.name != "lock.json":
            count += 1
        if count == write:
            count += 100
            raise Killed
        real(path, value)

    monkeypatch.setattr(files, "write_json", write_json)
    try:
        calendar.go()
    except Killed:
        calendar.at(0, 1).go()
    monkeypatch.undo()
    calendar.at(0, 2).go()
    assert calendar.steps.champions["kick"] in calendar.reports()
    assert len(calendar.reports()) == 1
    assert calendar.go().status == "idle"


def test_the_same_data_and_params_are_nothing_to_do(calendar):
    assert calendar.go(force="asked for").status == "kept"
    assert calendar.go(force="asked for").status == "nothing to do"
    calendar.steps.params = "p2"
    assert calendar.at(0, 1).go(force="asked for").status == "kept"


def test_a_failed_run_is_reported_and_its_data_may_be_tried_again(calendar):
    calendar.steps.fails = {"evaluate": ValueError("shapes differ")}
    for _ in range(2):
        with pytest.raises(DoseError, match="evaluate: ValueError: shapes differ"):
            calendar.go(force="asked for")
    outcome = calendar.go()
    assert outcome.status == "failed"
    text = (calendar.home / "runs" / outcome.run.id / "report.md").read_text()
    assert "Abandoned; the champions stay." in text
    assert "failed, attempt 3: ValueError: shapes differ." in text
    assert calendar.steps.abandoned == [outcome.run.id]
    calendar.steps.fails = {}
    assert calendar.at(0, 1).go(force="once more").status == "kept"


def test_a_disk_that_fills_within_a_phase_costs_an_attempt_and_nothing_else(calendar):
    calendar.steps.fails = {"repro": OSError(errno.ENOSPC, "No space left on device")}
    with pytest.raises(DoseError, match="No space left"):
        calendar.go(force="asked for")
    calendar.steps.fails = {}
    assert calendar.go().status == "kept"


def test_the_report_contains_the_evidence_and_escapes_it(calendar):
    calendar.steps.better = ("kick",)
    outcome = calendar.go(force="a <new> kit")
    folder = calendar.home / "runs" / outcome.run.id
    text, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
    assert "| kick | spectral | +6.0% | +2.0% | +3.0% | 9 | promote |" in text
    assert "Against the snare" in text
    assert "kick promoted" in page
    assert "<new>" not in page
    assert "<b>better" not in page
    assert json.loads((folder / "run_state.json").read_text())["done"]["promote"] == {"drums": ["kick"]}


def test_one_start_at_a_time(calendar):
    with (
        Lock(calendar.home, 1.0, lambda: calendar.now),
        pytest.raises(AlreadyRunningError, match=socket.gethostname()),
    ):
        calendar.go(force="asked for")
    assert calendar.go(force="asked for").status == "kept"


def test_a_lock_is_stale_when_its_process_or_its_time_has_ended(calendar):
    lock = calendar.home / "lock.json"
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    holder = {"owner": socket.gethostname(), "pid": gone, "token": "t", "until": "2027-01-01T00:00:00+00:00"}
    lock.write_text(json.dumps(holder))
    assert calendar.go().status == "idle"
    lock.write_text(json.dumps(holder | {"owner": "elsewhere"}))
    with pytest.raises(AlreadyRunningError, match="elsewhere"):
        calendar.go()
    lock.write_text(json.dumps(holder | {"owner": "elsewhere", "until": "2026-03-02T00:00:00+00:00"}))
    assert calendar.go().status == "idle"


def test_a_run_that_lost_its_lock_stops_before_the_next_phase(calendar):
    lock, real = calendar.home / "lock.json", calendar.steps.run_phase

    def lock_taken_over(phase, run, folder):
        holder = json.loads(lock.read_text())
        lock.write_text(json.dumps(holder | {"token": "other", "owner": "elsewhere"}))
        return real(phase, run, folder)

    calendar.steps.run_phase = lock_taken_over
    with pytest.raises(AlreadyRunningError, match="elsewhere took it over"):
        calendar.go(force="asked for")
    assert calendar.steps.phases == ["ingest"]
    assert lock.is_file()  # the other's lock is left alone
