"""The state of a run on disk, and the files of earlier releases."""

import datetime
import json

import numpy as np
import pytest
from retrain_world import Calendar

from dose import config
from dose.errors import ConfigError
from dose.registry.gate_config import GateConfig
from dose.retrain import run_state, steps
from dose.retrain.run_state import PHASES, RunState

NOW = datetime.datetime(2026, 3, 2, 4, 5, 6, tzinfo=datetime.UTC)
# As the release before the renaming wrote it, at the phase `gate` with one failed attempt of `intake`.
JOURNAL = {
    "id": "20260302-040506-k",
    "key": "k",
    "causes": ["asked for"],
    "started": "2026-03-02T04:05:06+00:00",
    "done": {
        "intake": {"says": "20 sounds taken in, 0 rejected", "rejected": {}},
        "gate": {
            "says": "passed: kick",
            "verdicts": {
                "kick": {
                    "drum": "kick",
                    "promote": True,
                    "evidence": {"spectral": {"value": 0.06, "sure": 0.02, "held": 0.03, "n": 9}},
                    "reasons": [],
                }
            },
        },
    },
    "attempts": {"intake": 1},
    "error": "intake: It failed.",
    "failed": False,
}


def test_a_new_run_is_named_by_its_time_and_key():
    run = run_state.new_run("0123456789", ["a", "b"], NOW)
    assert run.id == "20260302-040506-012345"
    assert run.started == "2026-03-02T04:05:06+00:00"
    assert (run.key, run.causes) == ("0123456789", ("a", "b"))
    assert (run.next, run.outcome, run.promoted) == (PHASES[0], "unfinished", ())


def test_the_phases_are_done_in_order():
    run = run_state.new_run("k", [], NOW)
    for phase in PHASES:
        assert run.next == phase
        assert run.outcome == "unfinished"
        run = run.with_result(phase, {"drums": ["kick"]} if phase == "promote" else {})
    assert run.next is None
    assert (run.outcome, run.promoted) == ("promoted", ("kick",))
    assert run.with_result("promote", {"drums": []}).outcome == "kept"


def test_a_run_fails_at_the_last_attempt_of_one_phase():
    run = run_state.new_run("k", [], NOW).with_failure("ingest", "One.", 2)
    assert (run.failed, run.attempts, run.error) == (False, {"ingest": 1}, "ingest: One.")
    run = run.with_result("ingest", {}).with_failure("repro", "Two.", 2)
    assert (run.failed, run.error) == (False, "repro: Two.")
    run = run.with_failure("repro", "Three.", 2)
    assert (run.failed, run.next, run.outcome) == (True, None, "failed")
    assert run.attempts == {"ingest": 1, "repro": 2}


def test_a_lower_limit_counts_for_attempts_that_were_made_before():
    run = run_state.new_run("k", [], NOW)
    for _ in range(2):
        run = run.with_failure("ingest", "One.", 9)
    assert run.with_failure("ingest", "One.", 2).failed


def test_a_result_clears_the_error():
    run = run_state.new_run("k", [], NOW).with_failure("ingest", "One.", 3)
    assert run.with_result("ingest", {}).error == ""


def test_what_is_written_is_read(tmp_path):
    run = run_state.new_run("k", ["a"], NOW).with_result("ingest", {"summary": "x"})
    assert run_state.read_run(tmp_path) is None
    run_state.write_run(tmp_path, run)
    assert run_state.read_run(tmp_path) == run
    run_state.remove_run(tmp_path)
    assert run_state.read_run(tmp_path) is None
    run_state.remove_run(tmp_path)


def test_a_run_of_the_release_before_is_read_and_then_replaced(tmp_path):
    (tmp_path / "journal.json").write_text(json.dumps(JOURNAL))
    run = run_state.read_run(tmp_path)
    assert isinstance(run, RunState)
    assert run.next == "version"
    assert run.done["ingest"]["summary"] == "20 sounds taken in, 0 rejected"
    assert run.done["gate"]["summary"] == "passed: kick"
    bounds = {"superiority_bound": 0.02, "non_inferiority_bound": 0.03}
    evidence = run.done["gate"]["verdicts"]["kick"]["evidence"]
    assert evidence == {"spectral": {"improvement": 0.06, **bounds, "items": 9}}
    assert run.attempts == {"ingest": 1}
    assert run.error == "ingest: It failed."
    run_state.write_run(tmp_path, run)
    assert [p.name for p in tmp_path.iterdir()] == ["run_state.json"]
    assert run_state.read_run(tmp_path) == run


def test_the_new_file_counts_where_a_kill_left_both(tmp_path):
    run = run_state.new_run("new", [], NOW)
    run_state.write_run(tmp_path, run)
    (tmp_path / "journal.json").write_text(json.dumps(JOURNAL))
    assert run_state.read_run(tmp_path) == run
    run_state.remove_run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_trigger_state_and_feedback_of_the_release_before_are_read(tmp_path):
    calendar = Calendar(tmp_path)
    calendar.home.mkdir()
    since = "2026-03-01T00:00:00+00:00"
    state = {"since": since, "key": "k", "seen": 1, "confidence": 0.8}
    (calendar.home / "state.json").write_text(json.dumps(state))
    line = '{{"confidence": {}, "reroll": false}}\n'
    (calendar.home / "signals.jsonl").write_text(line.format(0.1) + line.format(0.2))
    (calendar.home / "feedback.jsonl").write_text(line.format(0.3))
    inputs = calendar.orchestrator().trigger_inputs()
    assert inputs.since == datetime.datetime.fromisoformat(since)
    assert inputs.baseline_confidence == 0.8
    assert [r.confidence for r in inputs.feedback] == [0.2, 0.3]


def test_the_first_start_uses_all_feedback(tmp_path):
    calendar = Calendar(tmp_path)
    calendar.home.mkdir()
    (calendar.home / "feedback.jsonl").write_text('{"confidence": 0.3, "reroll": true}\n')
    inputs = calendar.orchestrator().trigger_inputs()
    assert [r.confidence for r in inputs.feedback] == [0.3]
    assert inputs.baseline_confidence is None


def test_reference_embeddings_of_the_release_before_are_read(tmp_path):
    np.savez(tmp_path / "truth.npz", kick=np.ones(2))
    assert steps._load_references(tmp_path)["kick"].tolist() == [1, 1]
    np.savez(tmp_path / "references.npz", kick=np.zeros(2))
    assert steps._load_references(tmp_path)["kick"].tolist() == [0, 0]


def test_gate_settings_by_their_old_names_are_read():
    old = {"draws": 2, "risk": 0.1, "margin": 0.01, "spectral_loss": 0.03, "distributional_loss": 0.2}
    same = {"items": 8, "resamples": 100, "kad_floor": 0.5, "seed": 0}
    budgets = {"latency_ratio": 1.25, "latency_s": 5.0, "size_mb": 200.0}
    found = config.parse(GateConfig, {**old, **same, "budgets": budgets}, "gate")
    assert found == GateConfig(
        items=8, samples=2, resamples=100, alpha=0.1, superiority_margin=0.01,
        spectral_tolerance=0.03, distributional_tolerance=0.2,
    )  # fmt: skip
    with pytest.raises(ConfigError):
        config.parse(GateConfig, {**old, **same, "budgets": budgets, "samples": 3}, "gate")
