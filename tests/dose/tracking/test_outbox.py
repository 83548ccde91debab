"""The outbox with a store that is unreachable, loses responses or rejects requests, and a killed driver."""

import json
import threading

import pytest

import dose.tracking.outbox as module
from dose.tracking import Outbox, Tracker


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT", 0.05)


class Flaky(Tracker):
    """A real store behind a connection that fails before the request arrives or before its response does."""

    unreachable = False
    lose_responses = 0
    threads: frozenset[int] = frozenset()  # that have sent metrics

    def log_metrics(self, run_id, rows):
        self.threads |= {threading.get_ident()}
        if self.unreachable:
            raise ConnectionError("connection refused")
        super().log_metrics(run_id, rows)
        if self.lose_responses:
            self.lose_responses -= 1
            raise ConnectionError("connection reset")

    def open_run(self, key, name, *, parent=None):
        if self.unreachable:
            raise ConnectionError("connection refused")
        run = super().open_run(key, name, parent=parent)
        if self.lose_responses:
            self.lose_responses -= 1
            raise ConnectionError("connection reset")
        return run


@pytest.fixture
def flaky(tracker):
    return Flaky("dose-test", uri=tracker.uri, root=tracker.root)


def open_trial(outbox, key="s/a"):
    outbox.open("s", "sweep", tags={"dose.drum": "kick"}, params={})
    outbox.open(key, "trial", parent="s", tags={}, params={"lr": 0.1})


def test_a_whole_trial(tracker, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with Outbox(tracker, tmp_path / "box") as outbox:
        open_trial(outbox)
        for step in range(5):
            outbox.metrics("s/a", step, {"val/loss": 5 - step})
        outbox.artifacts("s/a", tmp_path / "config.json")
        outbox.artifacts("s/a", tmp_path / "box", "logs")
        outbox.tags("s/a", {"dose.stopped": "budget"})
        outbox.end("s/a", "FINISHED")
        outbox.end("s", "FINISHED")
    run, parent = tracker.find_run("s/a"), tracker.find_run("s")
    assert (run.status, parent.status) == ("FINISHED", "FINISHED")
    assert run.tags["mlflow.parentRunId"] == parent.id
    assert run.params == {"lr": "0.1"}
    assert run.tags["dose.stopped"] == "budget"
    assert tracker.curve(run.id, "val/loss") == [(s, 5.0 - s) for s in range(5)]
    assert {f.path for f in tracker.client.list_artifacts(run.id)} == {"config.json", "logs"}


def test_adding_messages_does_not_wait_and_all_arrive_in_order(flaky, tmp_path):
    with Outbox(flaky, tmp_path / "box") as outbox:
        open_trial(outbox)
        assert outbox.drain(30)
        flaky.unreachable = True
        for step in range(500):
            outbox.metrics("s/a", step, {"val/loss": step})
        assert not outbox.drain(0.2)
        flaky.unreachable = False
    run = flaky.find_run("s/a")
    # Another thread sends, so that adding never waits for the store.
    assert flaky.threads
    assert threading.get_ident() not in flaky.threads
    history = flaky.client.get_metric_history(run.id, "val/loss")
    assert [m.step for m in history] == list(range(500))


@pytest.mark.parametrize("lost", [1, 3])
def test_a_lost_response_leaves_one_run_and_no_duplicates(flaky, tmp_path, lost):
    flaky.lose_responses = lost
    with Outbox(flaky, tmp_path / "box") as outbox:
        open_trial(outbox)
        outbox.metrics("s/a", 1, {"val/loss": 1.0})
        outbox.drain(30)
        flaky.lose_responses = lost
        outbox.metrics("s/a", 2, {"val/loss": 0.5})
    assert len(list(flaky.runs({}))) == 2
    assert flaky.curve(flaky.find_run("s/a").id, "val/loss") == [(1, 1.0), (2, 0.5)]


def test_steps_reported_again_after_a_resume_are_not_sent_again(tracker, tmp_path):
    with Outbox(tracker, tmp_path / "one") as outbox:
        open_trial(outbox)
        for step in (10, 20, 30):
            outbox.metrics("s/a", step, {"val/loss": step})
    # Another driver on another machine, without the first one's files, from the checkpoint at step 10.
    with Outbox(tracker, tmp_path / "two") as outbox:
        open_trial(outbox)
        for step in (20, 30, 40):
            outbox.metrics("s/a", step, {"val/loss": step, "val/mss": -step})
    run = tracker.find_run("s/a").id
    assert tracker.curve(run, "val/loss") == [(s, float(s)) for s in (10, 20, 30, 40)]
    assert tracker.curve(run, "val/mss") == [(s, -float(s)) for s in (20, 30, 40)]


def test_a_new_driver_delivers_what_the_killed_one_did_not(flaky, tmp_path):
    flaky.unreachable = True
    outbox = Outbox(flaky, tmp_path / "box", patience=0.1)
    open_trial(outbox)
    outbox.metrics("s/a", 1, {"val/loss": 1.0})
    outbox.close()
    with (tmp_path / "box" / "messages.jsonl").open("a") as f:
        f.write('{"kind": "metrics", "key": "s/')  # killed while writing
    flaky.unreachable = False
    with Outbox(flaky, tmp_path / "box") as outbox:
        assert outbox.waiting <= 3
        outbox.metrics("s/a", 2, {"val/loss": 0.5})
        outbox.end("s/a", "FINISHED")
    run = flaky.find_run("s/a")
    assert run.status == "FINISHED"
    assert flaky.curve(run.id, "val/loss") == [(1, 1.0), (2, 0.5)]
    lines = (tmp_path / "box" / "messages.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == int((tmp_path / "box" / "delivered").read_text()) == 5


def test_a_request_that_fails_for_good_does_not_block_the_rest(tracker, tmp_path):
    with Outbox(tracker, tmp_path / "box") as outbox:
        open_trial(outbox)
        outbox.artifacts("s/a", tmp_path / "gone.wav")
        outbox.metrics("never opened", 1, {"x": 1})
        outbox.metrics("s/a", 1, {"val/loss": 1.0})
    assert tracker.curve(tracker.find_run("s/a").id, "val/loss") == [(1, 1.0)]
    assert len(outbox.rejected) == 2


def test_many_threads_may_add_messages(tracker, tmp_path):
    with Outbox(tracker, tmp_path / "box") as outbox:
        outbox.open("s", "sweep", tags={}, params={})

        def trial(key):
            outbox.open(key, key, parent="s", tags={}, params={})
            for step in range(20):
                outbox.metrics(key, step, {"m": step})

        threads = [threading.Thread(target=trial, args=(f"s/{i}",)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    for i in range(4):
        assert tracker.curve(tracker.find_run(f"s/{i}").id, "m") == [(s, float(s)) for s in range(20)]
