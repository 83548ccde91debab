"""A sweep of 200 trials must still be read and ranked at once."""

import time

import pytest

from dose.sweep.table import Trial, ranking, read_trials, write_tables
from dose.tracking import Outbox

pytestmark = pytest.mark.slow


def test_two_hundred_trials_are_found_and_ranked_in_two_seconds_each(tracker, tmp_path):
    trials = []
    with Outbox(tracker, tmp_path / "box", patience=600) as outbox:
        outbox.open("s", "sweep", tags={"dose.sweep": "s"}, params={})
        for i in range(200):
            hyper = {"onset_weight": float(i % 4), "lr": 1e-3 * (1 + i)}
            outbox.open(
                f"s/{i}", f"t{i}", parent="s", tags={"dose.sweep": "s", "dose.kind": "trial"}, params=hyper
            )
            for step in (10, 20, 30, 40):
                outbox.metrics(f"s/{i}", step, {"val/loss": i / step, "val/mss": i / step, "train/loss": 1.0})
            outbox.end(f"s/{i}", "FINISHED")
            trials.append(
                Trial(
                    id=str(i),
                    hyper=hyper,
                    status="FINISHED",
                    stopped="done",
                    steps=40,
                    score=i / 40,
                    metrics={},
                )
            )
    began = time.process_time()
    runs = list(tracker.runs({"dose.sweep": "s", "dose.kind": "trial"}))
    assert time.process_time() - began < 2
    assert len(runs) == 200
    assert {r.status for r in runs} == {"FINISHED"}
    about = {"drum": "kick", "sweep": "s", "select": "val/mss", "best": "0", "ablation": "0"}
    curves = {t.id: [{"step": s, "val/loss": 1.0} for s in (10, 20)] for t in trials}
    write_tables(tmp_path / "out", trials, curves, about)
    began = time.process_time()
    assert ranking(read_trials(tmp_path / "out")[1])[0].id == "0"
    assert time.process_time() - began < 2
