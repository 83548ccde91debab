"""What a sweep has to say to MLflow, brought there in order and once, however often it is interrupted.

Every message is appended to a file before anything else happens, and a thread of its own carries the
messages to the store. So training never waits for MLflow; a store that is away for a minute gets everything
afterwards; and a driver that is killed finds on its return what was not yet delivered. A trial that resumes
from a checkpoint reports some steps a second time: for each metric only steps beyond the last one in the
store are sent.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dose.files import atomic
from dose.tracking.store import Status, Tracker, now_ms

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0  # seconds between tries while the store is away
BATCH = 200  # metric messages of one run that go together

# MLflow's names for a request that will never succeed, however often it is sent.
HOPELESS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
    "ENDPOINT_NOT_FOUND",
    "INVALID_STATE",
}

Message = dict[str, Any]


class Outbox:
    """The messages of one sweep; `key` names a run throughout, as in `Tracker.open_run`.

    Use as a context manager: leaving it waits up to `patience` seconds for delivery. What is undelivered
    then stays in `folder` and goes out when an Outbox is opened there again.
    """

    def __init__(self, tracker: Tracker, folder: Path | str, patience: float = 120.0) -> None:
        self.tracker = tracker
        self.patience = patience
        self.rejected: list[str] = []
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._cursor_file = folder / "delivered"
        self._queue = self._left_over(folder / "messages.jsonl")
        self._file = (folder / "messages.jsonl").open("a")
        self._run_ids: dict[str, str] = {}
        self._last: dict[str, dict[str, int]] = {}
        self._change = threading.Condition()
        self._closing: float | None = None
        self._thread = threading.Thread(target=self._deliver, name="mlflow-outbox", daemon=True)
        self._thread.start()

    def _left_over(self, file: Path) -> deque[Message]:
        self._delivered = int(self._cursor_file.read_text()) if self._cursor_file.exists() else 0
        if not file.exists():
            return deque()
        whole = file.read_bytes()
        if not whole.endswith(b"\n"):  # killed while writing: half a message was never given
            whole = whole[: whole.rfind(b"\n") + 1]
            file.write_bytes(whole)
        return deque(json.loads(line) for line in whole.splitlines()[self._delivered :])

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What can be said

    def open(
        self,
        key: str,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
    ) -> None:
        """Makes sure that the run exists and is RUNNING; `parent` is the key of another run."""
        params = {k: str(v) for k, v in params.items()}
        self._say("open", key, name=name, parent=parent, tags=dict(tags), params=params)

    def metrics(self, key: str, step: int, values: Mapping[str, float]) -> None:
        self._say("metrics", key, step=step, ms=now_ms(), values={k: float(v) for k, v in values.items()})

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._say("tags", key, tags=dict(tags))

    def artifacts(self, key: str, path: Path | str, to: str | None = None) -> None:
        """A file or folder, which must stay as it is until it is delivered."""
        self._say("artifacts", key, path=str(Path(path).resolve()), to=to)

    def model(self, key: str, name: str, folder: Path | str, tags: Mapping[str, str]) -> None:
        self._say("model", key, name=name, path=str(Path(folder).resolve()), tags=dict(tags))

    def end(self, key: str, status: Status) -> None:
        self._say("end", key, status=status)

    def _say(self, kind: str, key: str, **content: Any) -> None:
        message = {"kind": kind, "key": key, **content}
        line = json.dumps(message)
        with self._change:
            if self._closing is not None:
                raise RuntimeError("the outbox is closed")
            self._file.write(line + "\n")
            self._file.flush()
            self._queue.append(message)
            self._change.notify_all()

    # Delivery

    @property
    def waiting(self) -> int:
        """Messages not yet delivered."""
        return len(self._queue)

    def drain(self, timeout: float) -> bool:
        """Waits until everything said so far is delivered; False when `timeout` seconds were not enough."""
        with self._change:
            return self._change.wait_for(lambda: not self._queue, timeout)

    def close(self) -> None:
        if not self.drain(self.patience):
            log.warning(
                "MLflow at %s did not take %d messages in %.0f s; they wait in %s for the next run.",
                self.tracker.uri,
                self.waiting,
                self.patience,
                self._cursor_file.parent,
            )
        with self._change:
            self._closing = time.monotonic()
            self._change.notify_all()
        self._thread.join(timeout=LONGEST_WAIT)
        self._file.close()

    def _deliver(self) -> None:
        wait = FIRST_WAIT
        while True:
            with self._change:
                self._change.wait_for(lambda: self._queue or self._closing is not None)
                if self._closing is not None:
                    return
                batch = self._next_batch()
            try:
                self._send(batch)
            except Exception as e:
                if _may_pass(e):
                    # Part of the request may have arrived: ask the store again what it has.
                    self._run_ids.clear()
                    self._last.clear()
                    log.info("MLflow is away (%s); trying again in %.1f s.", e, wait)
                    time.sleep(wait)
                    wait = min(2 * wait, LONGEST_WAIT)
                    continue
                log.warning("MLflow refused %s of %s: %s", batch[0]["kind"], batch[0]["key"], e)
                self.rejected.append(f"{batch[0]['kind']} of {batch[0]['key']}: {e}")
            wait = FIRST_WAIT
            self._count_delivered(len(batch))

    def _next_batch(self) -> list[Message]:
        """The first message, with those right after it that can go in the same request."""
        first = self._queue[0]
        batch = [first]
        if first["kind"] == "metrics":
            for message in list(self._queue)[1:BATCH]:
                if message["kind"] != "metrics" or message["key"] != first["key"]:
                    break
                batch.append(message)
        return batch

    def _count_delivered(self, count: int) -> None:
        self._delivered += count
        with atomic(self._cursor_file) as beside:
            beside.write_text(str(self._delivered))
        with self._change:
            for _ in range(count):
                self._queue.popleft()
            self._change.notify_all()

    def _send(self, batch: list[Message]) -> None:
        message = batch[0]
        key = message["key"]
        if message["kind"] == "open":
            parent = message["parent"] and self._run_id(message["parent"])
            run_id = self._run_ids[key] = self.tracker.open_run(key, message["name"], parent=parent)
            self.tracker.set_tags(run_id, message["tags"])
            self.tracker.log_params(run_id, message["params"])
            return
        run_id = self._run_id(key)
        match message["kind"]:
            case "metrics":
                self._send_metrics(run_id, batch)
            case "tags":
                self.tracker.set_tags(run_id, message["tags"])
            case "artifacts":
                self.tracker.log_artifacts(run_id, message["path"], message["to"])
            case "model":
                self.tracker.log_model(run_id, message["name"], message["path"], message["tags"])
            case "end":
                self.tracker.end_run(run_id, message["status"])

    def _send_metrics(self, run_id: str, batch: list[Message]) -> None:
        if run_id not in self._last:
            self._last[run_id] = self.tracker.last_steps(run_id)
        last = dict(self._last[run_id])
        rows = []
        for message in batch:
            step = message["step"]
            new = {name: v for name, v in message["values"].items() if step > last.get(name, -1)}
            last |= dict.fromkeys(new, step)
            rows.append((step, message["ms"], new))
        self.tracker.log_metrics(run_id, rows)
        self._last[run_id] = last

    def _run_id(self, key: str) -> str:
        if key not in self._run_ids:
            found = self.tracker.find_run(key)
            if found is None:
                raise KeyError(f"no run has the key {key}; open it first")
            self._run_ids[key] = found.id
        return self._run_ids[key]


def _may_pass(e: Exception) -> bool:
    """Whether the same request may succeed later: the store is away, busy or out of space."""
    from mlflow.exceptions import MlflowException

    if isinstance(e, MlflowException):
        return e.error_code not in HOPELESS
    return isinstance(e, OSError) and not isinstance(e, FileNotFoundError)
