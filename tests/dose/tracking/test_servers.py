"""MLflow servers started here: one that is down for a while, and one on PostgreSQL."""

import pytest
from servers import free_port, mlflow_server

from dose.files import write_manifest
from dose.tracking import Outbox, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def send_trial(outbox, key, steps):
    outbox.open("s", "sweep", tags={}, params={})
    outbox.open(key, "trial", parent="s", tags={"dose.kind": "trial"}, params={"lr": 0.1})
    for step in steps:
        outbox.metrics(key, step, {"val/loss": 1 / step})


def test_a_server_that_was_down_gets_everything_in_order(own_store):
    tmp_path = own_store
    port = free_port()
    store, uri = f"sqlite:///{tmp_path / 'mlflow.db'}", f"http://127.0.0.1:{port}"
    tracker = Tracker("dose-test", uri=uri, root=tmp_path)
    (tmp_path / "note.txt").write_text("note")
    outbox = Outbox(tracker, tmp_path / "box")
    with mlflow_server(tmp_path, store, port):
        tracker.ensure_store()
        send_trial(outbox, "s/a", range(1, 4))
        assert outbox.drain(60)
    send_trial(outbox, "s/b", range(1, 50))  # the server is down
    outbox.metrics("s/a", 4, {"val/loss": 0.25})
    outbox.artifacts("s/a", tmp_path / "note.txt")
    outbox.end("s/a", "FINISHED")
    assert not outbox.drain(5)
    with mlflow_server(tmp_path, store, port):
        assert outbox.drain(120)
        outbox.close()
        a, b = tracker.find_run("s/a"), tracker.find_run("s/b")
        assert a.status == "FINISHED"
        assert [m.step for m in tracker.client.get_metric_history(a.id, "val/loss")] == [1, 2, 3, 4]
        assert [m.step for m in tracker.client.get_metric_history(b.id, "val/loss")] == list(range(1, 50))
        assert {f.path for f in tracker.client.list_artifacts(a.id)} == {"note.txt"}
        assert outbox.rejected == []


def test_a_server_on_postgresql(postgres, tmp_path):
    port = free_port()
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.json").write_text("{}")
    write_manifest(bundle)
    with mlflow_server(tmp_path, postgres, port):
        tracker = Tracker("dose-test", uri=f"http://127.0.0.1:{port}", root=tmp_path)
        tracker.ensure_store()
        with Outbox(tracker, tmp_path / "box") as outbox:
            send_trial(outbox, "s/a", range(1, 6))
            outbox.end("s/a", "FINISHED")
        run = tracker.find_run("s/a")
        assert run.status == "FINISHED"
        assert [s for s, _ in tracker.curve(run.id, "val/loss")] == [1, 2, 3, 4, 5]
        version = tracker.register("dose-kick", bundle, hash="aa", tags={}, run_id=run.id)
        assert tracker.register("dose-kick", bundle, hash="aa", tags={}) == version
        tracker.set_alias("dose-kick", "champion", 1)
        tracker.download("dose-kick", 1, tmp_path / "got")
        assert (tmp_path / "got" / "model.json").read_text() == "{}"
