"""What the recorder concludes by itself; the drills show it at work."""

from types import SimpleNamespace

import pytest
from sweep_stubs import STEPS, sweep_config

from dose.sweep.callback import SweepLogger, why_stopped


@pytest.mark.parametrize(
    ("minutes", "steps", "seconds", "error", "why"),
    [
        (1.0, STEPS, 70, "", "done"),
        (1.0, STEPS - 1, 70, "", "time"),
        (1.0, STEPS - 1, 50, "", "asha"),
        (0.0, STEPS - 1, 50, "", "asha"),
        (1.0, STEPS, 70, "no space left", "error"),
    ],
)
def test_why_a_trial_ended(minutes, steps, seconds, error, why):
    config = sweep_config(scheduler="asha", minutes=minutes)
    assert why_stopped(config, steps, seconds, error) == why


def test_half_a_row_of_a_killed_driver_costs_no_other_row(tmp_path):
    said = []
    outbox = SimpleNamespace(metrics=lambda key, step, row: said.append((key, step, row)))
    recorder = SweepLogger("s", sweep_config(), "kick", tmp_path, outbox, {})
    rows = tmp_path / "a" / "rows.jsonl"
    rows.parent.mkdir()
    trial = SimpleNamespace(trial_id="a")
    recorder.result(trial, {"step": 10, "val/mss": 3.0, "config/lr": 1.0, "done": False})
    rows.write_text(rows.read_text() + '{"step": 20, "val/')
    recorder.result(trial, {"step": 20, "val/mss": 2.0})
    recorder.result(trial, {"step": 30, "val/mss": 1.0})
    recorder.close()
    assert recorder.rows("a") == [{"step": s, "val/mss": v} for s, v in ((10, 3.0), (20, 2.0), (30, 1.0))]
    assert said[0] == ("s/a", 10, {"val/mss": 3.0})
