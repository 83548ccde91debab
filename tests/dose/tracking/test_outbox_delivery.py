"""The outbox and its message log with a tracker in memory: what is sent, retried, rejected and resumed."""

import json
import logging
import threading

import pytest
from mlflow.exceptions import MlflowException

import dose.tracking.outbox as module
from dose.tracking import Outbox, RunRecord
from dose.tracking.message_log import MessageLog
from dose.tracking.outbox import BATCH, PERMANENT_ERRORS, _is_temporary


class MemoryTracker:
    """Logs every request; `errors` are raised by the next requests, before or after they take effect."""

    uri = "memory://"

    def __init__(self):
        self.requests, self.errors, self.runs, self.steps = [], [], {}, {}
        self.searches = 0

    def _request(self, *request):
        if self.errors:
            raise self.errors.pop(0)
        self.requests.append(request)

    def open_run(self, key, name, *, parent=None):
        self._request("open_run", key, name, parent)
        return self.runs.setdefault(key, f"id of {key}")

    def find_run(self, key):
        self.searches += 1
        if key not in self.runs:
            return None
        return RunRecord(id=self.runs[key], name=key, status="RUNNING", tags={}, params={}, metrics={})

    def set_tags(self, run_id, tags):
        self._request("set_tags", run_id, tags)

    def log_params(self, run_id, params):
        self._request("log_params", run_id, params)

    def last_steps(self, run_id):
        return dict(self.steps.get(run_id, {}))

    def log_metrics(self, run_id, rows):
        self._request("log_metrics", run_id, rows)

    def log_artifacts(self, run_id, path, to=None):
        self._request("log_artifacts", run_id, path, to)

    def log_model(self, run_id, name, folder, tags):
        self._request("log_model", run_id, name, folder, tags)

    def end_run(self, run_id, status):
        self._request("end_run", run_id, status)

    def values(self):
        """(run id, step, values) in the order of delivery."""
        found = [r for r in self.requests if r[0] == "log_metrics"]
        return [(run_id, step, values) for _, run_id, rows in found for step, _, values in rows]


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """The waits between retries, which take no time."""
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    return waits


@pytest.fixture
def tracker():
    return MemoryTracker()


def test_every_kind_of_message_is_sent_in_order(tracker, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "now_ms", lambda: 7)
    with Outbox(tracker, tmp_path) as outbox:
        outbox.open("s", "sweep", tags={"a": "b"}, params={"lr": 0.1})
        outbox.open("s/a", "trial", parent="s", tags={}, params={})
        outbox.metrics("s/a", 1, {"loss": 2})
        outbox.tags("s/a", {"c": "d"})
        outbox.artifacts("s/a", tmp_path / "x", "logs")
        outbox.model("s/a", "best", tmp_path / "m", {"e": "f"})
        outbox.end("s/a", "FINISHED")
    assert tracker.requests == [
        ("open_run", "s", "sweep", None),
        ("set_tags", "id of s", {"a": "b"}),
        ("log_params", "id of s", {"lr": "0.1"}),
        ("open_run", "s/a", "trial", "id of s"),
        ("set_tags", "id of s/a", {}),
        ("log_params", "id of s/a", {}),
        ("log_metrics", "id of s/a", [(1, 7, {"loss": 2.0})]),
        ("set_tags", "id of s/a", {"c": "d"}),
        ("log_artifacts", "id of s/a", str(tmp_path / "x"), "logs"),
        ("log_model", "id of s/a", "best", str(tmp_path / "m"), {"e": "f"}),
        ("end_run", "id of s/a", "FINISHED"),
    ]
    assert outbox.waiting == 0
    assert outbox.rejected == []
    assert tracker.searches == 0  # the ids of opened runs are known


def fill(folder, count, keys=("s/a",)):
    """A message log as a killed driver leaves it."""
    log = MessageLog(folder)
    for i in range(count):
        log.append({"kind": "metrics", "key": keys[i % len(keys)], "step": i, "ms": i, "values": {"m": i}})
    log.close()


def test_metrics_of_one_run_share_requests(tracker, tmp_path):
    tracker.runs = {"s/a": "a", "s/b": "b"}
    fill(tmp_path / "one", BATCH + 3)
    with Outbox(tracker, tmp_path / "one"):
        pass
    assert [len(rows) for _, _, rows in tracker.requests] == [BATCH, 3]
    tracker.requests.clear()
    fill(tmp_path / "two", 4, ("s/a", "s/b"))
    with Outbox(tracker, tmp_path / "two"):
        pass
    assert [(run, len(rows)) for _, run, rows in tracker.requests] == [("a", 1), ("b", 1)] * 2
    assert tracker.searches == 3  # one per run and outbox


def test_another_message_ends_a_batch(tmp_path):
    log = MessageLog(tmp_path)
    metrics = {"kind": "metrics", "key": "a"}
    for message in (metrics, metrics, {"kind": "end", "key": "a"}, metrics):
        log.append(message)
    assert log.peek(9) == [metrics, metrics]
    assert log.peek(1) == [metrics]
    log.pop(2)
    assert log.peek(9) == [{"kind": "end", "key": "a"}]
    assert len(log) == 2


def test_only_steps_after_the_last_one_in_the_store_are_sent(tracker, tmp_path):
    tracker.runs, tracker.steps = {"s/a": "a"}, {"a": {"m": 2}}
    with Outbox(tracker, tmp_path) as outbox:
        outbox.metrics("s/a", 1, {"m": 1})
        outbox.metrics("s/a", 2, {"m": 1, "n": 1})
        outbox.metrics("s/a", 3, {"m": 1})
        assert outbox.drain(30)
        outbox.metrics("s/a", 3, {"m": 9, "n": 2})
        outbox.metrics("s/a", 0, {"new": 5})
    assert [(step, values) for _, step, values in tracker.values()] == [
        (1, {}),
        (2, {"n": 1.0}),
        (3, {"m": 1.0}),
        (3, {"n": 2.0}),
        (0, {"new": 5.0}),
    ]


def test_an_unreachable_store_is_retried_with_doubled_waits(tracker, tmp_path, waits):
    tracker.errors = [ConnectionError("down")] * 7
    with Outbox(tracker, tmp_path) as outbox:
        outbox.open("s", "sweep", tags={}, params={})
        assert outbox.drain(30)
        assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
        waits.clear()
        tracker.errors = [ConnectionError("down")]
        outbox.end("s", "FINISHED")
        assert outbox.drain(30)
        assert waits == [0.2]  # a delivery resets the wait
    assert [r[0] for r in tracker.requests] == ["open_run", "set_tags", "log_params", "end_run"]
    assert outbox.rejected == []


def test_after_an_outage_the_store_is_asked_again_for_its_runs_and_steps(tracker, tmp_path):
    tracker.runs = {"s/a": "a"}
    with Outbox(tracker, tmp_path) as outbox:
        outbox.metrics("s/a", 1, {"m": 1})
        assert outbox.drain(30)
        tracker.steps = {"a": {"m": 2}}  # another driver was at work
        tracker.errors = [ConnectionError("down")]
        outbox.tags("s/a", {})
        assert outbox.drain(30)
        outbox.metrics("s/a", 2, {"m": 2})
        outbox.metrics("s/a", 3, {"m": 3})
    assert [step for _, step, values in tracker.values() if values] == [1, 3]
    assert tracker.searches == 2


def test_a_rejected_request_is_counted_as_delivered_and_reported(tracker, tmp_path, waits, caplog):
    with caplog.at_level(logging.WARNING), Outbox(tracker, tmp_path) as outbox:
        outbox.tags("unknown", {})
        outbox.open("s", "sweep", tags={}, params={})
    assert len(outbox.rejected) == 1
    assert outbox.rejected[0].startswith("tags of unknown: ")
    assert "no run has the key unknown; open it first" in outbox.rejected[0]
    assert "MLflow rejected tags of unknown" in caplog.text
    assert waits == []
    assert (tmp_path / "delivered").read_text() == "2"
    assert tracker.requests[0][:2] == ("open_run", "s")


@pytest.mark.parametrize(
    ("error", "temporary"),
    [
        (ConnectionError("refused"), True),
        (TimeoutError("late"), True),
        (OSError("disk full"), True),
        (FileNotFoundError("gone"), False),
        (KeyError("no run"), False),
        (ValueError("wrong"), False),
        (MlflowException("busy", error_code=1), True),
        *((MlflowException("x", error_code=_code), False) for _code in (1000, 3001)),
    ],
)
def test_which_errors_are_temporary(error, temporary):
    if isinstance(error, MlflowException):
        assert (error.error_code in PERMANENT_ERRORS) != temporary
    assert _is_temporary(error) == temporary


def test_undelivered_messages_wait_for_the_next_outbox(tracker, tmp_path, caplog):
    release = threading.Event()

    class Blocked(MemoryTracker):
        def open_run(self, *args, **options):
            release.wait(30)
            raise ConnectionError("down")

    with caplog.at_level(logging.WARNING):
        outbox = Outbox(Blocked(), tmp_path, patience=0.01)
        outbox.open("s", "sweep", tags={}, params={})
        outbox.end("s", "FINISHED")
        assert outbox.waiting == 2
        assert not outbox.drain(0.01)
        threading.Timer(0.1, release.set).start()
        outbox.close()
    assert f"memory:// did not take 2 messages in 0 s; they wait in {tmp_path}" in caplog.text
    assert not outbox._thread.is_alive()
    with pytest.raises(RuntimeError, match="the outbox is closed"):
        outbox.tags("s", {})
    with Outbox(tracker, tmp_path) as outbox:
        pass
    assert [r[0] for r in tracker.requests] == ["open_run", "set_tags", "log_params", "end_run"]


def test_a_delivered_outbox_closes_without_a_warning(tracker, tmp_path, caplog):
    with caplog.at_level(logging.DEBUG), Outbox(tracker, tmp_path / "a" / "b") as outbox:
        outbox.open("s", "sweep", tags={}, params={})
    assert caplog.text == ""
    assert outbox.patience == 120
    assert outbox._thread.daemon


def test_the_log_resumes_after_the_delivered_messages(tmp_path):
    fill(tmp_path, 5)
    log = MessageLog(tmp_path)
    assert len(log) == 5
    log.count_delivered(2)
    log.count_delivered(1)
    log.pop(3)
    assert len(log) == 2
    log.close()
    assert (tmp_path / "delivered").read_text() == "3"
    again = MessageLog(tmp_path)
    assert [m["step"] for m in again.peek(9)] == [3, 4]
    again.append({"kind": "end", "key": "a"})
    again.close()
    assert len((tmp_path / "messages.jsonl").read_text().splitlines()) == 6


def test_an_incomplete_last_line_is_removed(tmp_path):
    fill(tmp_path, 2)
    path = tmp_path / "messages.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"kind": "met')
    log = MessageLog(tmp_path)
    assert len(log) == 2
    log.append({"kind": "end", "key": "a"})
    log.close()
    assert path.read_bytes().startswith(whole)
    assert [json.loads(line)["kind"] for line in path.read_text().splitlines()] == [
        "metrics",
        "metrics",
        "end",
    ]
    path.write_bytes(b"half a line and no other")
    assert len(MessageLog(tmp_path)) == 0
    assert path.read_bytes() == b""
