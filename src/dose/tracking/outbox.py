"""Delivery of a sweep's messages to MLflow, in order and exactly once, however often it is interrupted.

Every message is appended to a file first, and a thread delivers the messages to the store. So training never
waits for MLflow; a store that is unreachable for a while receives everything afterwards; and a driver that
was killed finds at its next start what is not yet delivered. A trial that resumes from a checkpoint reports
some steps a second time: of each metric only the steps after the last one in the store are sent.
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dose.tracking.message_log import Message, MessageLog
from dose.tracking.records import DatasetInput, Status
from dose.tracking.store import Tracker, now_ms

log = logging.getLogger(__name__)

# Seconds between retries while the store is unreachable, doubled each time; defaults without a study.
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
BATCH = 200  # metric messages of one run per request

# MLflow's error codes of a request that fails however often it is repeated.
PERMANENT_ERRORS = {
    "INVALID_PARAMETER_VALUE",
    "RESOURCE_DOES_NOT_EXIST",
    "RESOURCE_ALREADY_EXISTS",
    "BAD_REQUEST",
    "ENDPOINT_NOT_FOUND",
    "INVALID_STATE",
}


class Outbox:
    """The messages of one sweep; `key` identifies a run in all methods, as in `Tracker.open_run`.

    Use as a context manager: leaving it waits up to `patience` seconds for delivery. Undelivered messages
    stay in `folder` and are sent when an Outbox is opened there again. Safe to use from any thread.
    """

    def __init__(self, tracker: Tracker, folder: Path | str, patience: float = 120.0) -> None:
        self.tracker = tracker
        self.patience = patience
        self.rejected: list[str] = []  # a sentence for each message that failed for good
        self._log = MessageLog(Path(folder))
        self._run_ids: dict[str, str] = {}  # by key
        self._last: dict[str, dict[str, int]] = {}  # run id -> metric -> last step in the store
        self._change = threading.Condition()  # guards _log and _closing
        self._closing = False
        self._thread = threading.Thread(target=self._deliver, name="mlflow-outbox", daemon=True)
        self._thread.start()

    def __enter__(self) -> "Outbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # Messages

    def open(
        self,
        key: str,
        name: str,
        *,
        parent: str | None = None,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
        datasets: Sequence[DatasetInput] = (),
    ) -> None:
        """Makes sure that the run exists and is RUNNING; `parent` is the key of another run."""
        params = {k: str(v) for k, v in params.items()}
        inputs = [dataclasses.asdict(d) for d in datasets]
        self._append("open", key, name=name, parent=parent, tags=dict(tags), params=params, datasets=inputs)

    def metrics(self, key: str, step: int, values: Mapping[str, float]) -> None:
        self._append("metrics", key, step=step, ms=now_ms(), values={k: float(v) for k, v in values.items()})

    def tags(self, key: str, tags: Mapping[str, str]) -> None:
        self._append("tags", key, tags=dict(tags))

    def artifacts(self, key: str, path: Path | str, to: str | None = None) -> None:
        """A file or folder, which must not change until it is delivered."""
        self._append("artifacts", key, path=str(Path(path).resolve()), to=to)

    def model(self, key: str, name: str, folder: Path | str, tags: Mapping[str, str]) -> None:
        self._append("model", key, name=name, path=str(Path(folder).resolve()), tags=dict(tags))

    def end(self, key: str, status: Status) -> None:
        self._append("end", key, status=status)

    def _append(self, kind: str, key: str, **content: Any) -> None:
        with self._change:
            if self._closing:
                raise RuntimeError("the outbox is closed")
            self._log.append({"kind": kind, "key": key, **content})
            self._change.notify_all()

    # Delivery

    @property
    def waiting(self) -> int:
        """Messages not yet delivered."""
        return len(self._log)

    def drain(self, timeout: float) -> bool:
        """Waits until all messages are delivered; False when `timeout` seconds were not enough."""
        with self._change:
            return self._change.wait_for(lambda: not self._log, timeout)

    def close(self) -> None:
        if not self.drain(self.patience):
            log.warning(
                "MLflow at %s did not take %d messages in %.0f s; they wait in %s for the next run.",
                self.tracker.uri,
                self.waiting,
                self.patience,
                self._log.folder,
            )
        with self._change:
            self._closing = True
            self._change.notify_all()
        self._thread.join(timeout=LONGEST_WAIT)
        self._log.close()

    def _deliver(self) -> None:
        """The thread: sends batch after batch until the outbox closes."""
        wait = FIRST_WAIT
        while True:
            with self._change:
                self._change.wait_for(lambda: self._log or self._closing)
                if self._closing:
                    return
                # Peeked and not popped: the messages stay in the log until they are delivered.
                batch = self._log.peek(BATCH)
            try:
                self._send(batch)
            except Exception as e:
                if _is_temporary(e):
                    # Part of the request may have arrived: ask the store again for its runs and steps.
                    self._run_ids.clear()
                    self._last.clear()
                    log.info("MLflow is unreachable (%s); retrying in %.1f s.", e, wait)
                    time.sleep(wait)
                    wait = min(2 * wait, LONGEST_WAIT)
                    continue
                log.warning("MLflow rejected %s of %s: %s", batch[0]["kind"], batch[0]["key"], e)
                self.rejected.append(f"{batch[0]['kind']} of {batch[0]['key']}: {e}")
            wait = FIRST_WAIT
            # Outside of the lock: only this thread writes the counter, and a disk may be slow.
            self._log.count_delivered(len(batch))
            with self._change:
                self._log.pop(len(batch))
                self._change.notify_all()

    def _send(self, batch: list[Message]) -> None:
        message = batch[0]
        key = message["key"]
        if message["kind"] == "open":
            parent = message["parent"] and self._run_id(message["parent"])
            # All are idempotent, so that a retry after a lost response does no harm.
            run_id = self._run_ids[key] = self.tracker.open_run(key, message["name"], parent=parent)
            self.tracker.set_tags(run_id, message["tags"])
            self.tracker.log_params(run_id, message["params"])
            # Messages of earlier releases have none.
            if inputs := message.get("datasets"):
                self.tracker.log_inputs(run_id, [DatasetInput(**d) for d in inputs])
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
        """Sends the values whose steps come after the last one of their metric in the store."""
        if run_id not in self._last:
            self._last[run_id] = self.tracker.last_steps(run_id)
        # A copy: the remembered steps change only when the request has succeeded.
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
            # Opened by an earlier driver.
            found = self.tracker.find_run(key)
            if found is None:
                raise KeyError(f"no run has the key {key}; open it first")
            self._run_ids[key] = found.id
        return self._run_ids[key]


def _is_temporary(e: Exception) -> bool:
    """Whether the same request may succeed later: the store is unreachable, busy or out of space."""
    from mlflow.exceptions import MlflowException

    if isinstance(e, MlflowException):
        return e.error_code not in PERMANENT_ERRORS
    return isinstance(e, OSError) and not isinstance(e, FileNotFoundError)
