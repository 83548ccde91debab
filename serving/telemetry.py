"""Logging and metrics: JSON log lines with request ids, and the Prometheus metrics of /metrics."""

import contextlib
import contextvars
import json
import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, Summary

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="-")
log = logging.getLogger("dose.serving")

# Seconds; from the 5 ms of a small response to the 2 minutes of a long song.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
STAGE_SECONDS = Histogram(
    "dose_stage_seconds", "Time spent per stage of an extraction", ["stage"], buckets=_BUCKETS
)
REQUEST_SECONDS = Histogram("dose_request_seconds", "Time to answer", ["route", "status"], buckets=_BUCKETS)
QUEUE_DEPTH = Gauge("dose_queue_depth", "Requests or jobs that wait", ["queue"], multiprocess_mode="livesum")
AUDIO_SECONDS = Counter("dose_audio_seconds", "Seconds of audio decoded", ["route"])
REJECTED = Counter("dose_rejected", "Requests rejected before any work", ["reason"])
JOBS = Counter("dose_jobs", "Jobs by final state", ["state"])
BATCH_SIZE = Histogram(
    "dose_batch_rows", "Sequences decoded in one batch", buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
)
EXTRACTIONS = Counter("dose_extractions", "Extractions by version of the models", ["version", "outcome"])
CONFIDENCE = Summary("dose_confidence", "Mean confidence of a kit", ["version"])
RELOADS = Counter("dose_reloads", "Attempts to load models", ["outcome"])


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "request_id": request_id.get(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_logging() -> None:
    """One JSON object per line on stderr. Called when the service starts, not on import."""
    # Replaces the handlers, so that a second start in the same process does not log every line twice.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def event(name: str, *, level: int = logging.INFO, error: BaseException | None = None, **fields: Any) -> None:
    """One log line: `name` is its "event", `fields` are further keys of the JSON object."""
    log.log(level, name, extra={"fields": fields}, exc_info=error)


def new_request_id(offered: str | None) -> str:
    """The caller's own id if it is safe in a log line and a header, else a random one."""
    # Log lines and headers are safe with these characters; 64 is longer than a UUID with its hyphens.
    return offered if offered and re.fullmatch(r"[\w.-]{1,64}", offered) else secrets.token_hex(8)


class StageClock:
    """Measures the time of a run's named stages, which may alternate.

    Each stage is one observation per run: the sum over all its intervals.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}  # stage -> total over finished runs
        self._run_seconds: dict[str, float] = {}  # stage -> sum over the current run
        self._stage: str | None = None
        self._entered = time.perf_counter()

    def enter(self, stage: str | None) -> None:
        """Ends the current stage and begins `stage`; None ends the run and reports its stages."""
        now = time.perf_counter()
        # A stage that is entered again keeps running.
        if self._stage is not None and stage != self._stage:
            self._run_seconds[self._stage] = self._run_seconds.get(self._stage, 0.0) + now - self._entered
        if stage != self._stage:
            self._stage, self._entered = stage, now
        if stage is None:
            for name, seconds in self._run_seconds.items():
                STAGE_SECONDS.labels(name).observe(seconds)
                self.seconds[name] = self.seconds.get(name, 0.0) + seconds
            self._run_seconds = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.enter(stage)
        try:
            yield
        finally:
            self.enter(None)
