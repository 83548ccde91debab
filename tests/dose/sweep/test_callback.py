"""The logger's conclusions by themselves; the drills run it within sweeps."""

import dataclasses
from types import SimpleNamespace

import pytest
from sweep_stubs import STEPS, sweep_config

from dose.sweep.callback import SweepLogger, why_stopped
from dose.tracking import DatasetInput
from dose.train.config import FitConfig


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
    sent = []
    outbox = SimpleNamespace(metrics=lambda key, step, row: sent.append((key, step, row)))
    logger = SweepLogger("s", sweep_config(), "kick", tmp_path, outbox, {})
    rows = tmp_path / "a" / "rows.jsonl"
    rows.parent.mkdir()
    trial = SimpleNamespace(trial_id="a")
    logger.result(trial, {"step": 10, "val/mss": 3.0, "config/lr": 1.0, "done": False})
    rows.write_text(rows.read_text() + '{"step": 20, "val/')
    logger.result(trial, {"step": 20, "val/mss": 2.0})
    logger.result(trial, {"step": 30, "val/mss": 1.0})
    logger.close()
    assert logger.rows("a") == [{"step": s, "val/mss": v} for s, v in ((10, 3.0), (20, 2.0), (30, 1.0))]
    assert sent[0] == ("s/a", 10, {"val/mss": 3.0})


def test_mlflow_gets_renamed_metrics_under_both_names_and_the_table_under_the_new_one(tmp_path):
    sent = []
    outbox = SimpleNamespace(metrics=lambda key, step, row: sent.append(row))
    logger = SweepLogger("s", sweep_config(), "kick", tmp_path, outbox, {})
    (tmp_path / "a").mkdir()
    logger.result(SimpleNamespace(trial_id="a"), {"step": 10, "val/conditioning_gap": 0.5})
    logger.close()
    assert sent == [{"val/conditioning_gap": 0.5, "val/shuffle_gap": 0.5}]
    assert logger.rows("a") == [{"step": 10, "val/conditioning_gap": 0.5}]


def test_a_trials_run_says_what_shaped_it_searched_or_not(tmp_path):
    """Issue 21, 5: it held two params, and a name that the trials of three drums shared."""
    opened = {}
    outbox = SimpleNamespace(open=lambda key, name, **content: opened.update(key=key, name=name, **content))
    data = DatasetInput(name="tokens/train", digest="d", path="data/tokens", context="training", items=600)
    tags = {"dose.codec_id": "codec-x", "dose.data_id": "data-x"}
    config = sweep_config()
    logger = SweepLogger("s", config, "kick", tmp_path, outbox, tags, [data])
    logger.start(SimpleNamespace(trial_id="a", config={"onset_weight": 0.0}))
    logger.close()
    assert (opened["key"], opened["name"]) == ("s/a", "kick onset_weight=0")
    assert opened["datasets"] == [data]
    params = opened["params"]
    assert {f.name for f in dataclasses.fields(FitConfig)} - params.keys() == {"model"}
    assert {f.name for f in dataclasses.fields(config.fit.model)} <= params.keys()
    assert (params["onset_weight"], params["steps"], params["width"]) == (0.0, STEPS, 32)
    assert (params["training_items"], params["codec_id"], params["data_id"]) == (600, "codec-x", "data-x")
