"""What an operator sees: JSON log lines with request ids, and Prometheus figures at /metrics."""

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

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
STAGE_SECONDS = Histogram(
    "dose_stage_seconds", "Time spent per stage of an extraction", ["stage"], buckets=_BUCKETS
)
REQUEST_SECONDS = Histogram("dose_request_seconds", "Time to answer", ["route", "status"], buckets=_BUCKETS)
QUEUE_DEPTH = Gauge("dose_queue_depth", "Requests or jobs that wait", ["queue"], multiprocess_mode="livesum")
AUDIO_SECONDS = Counter("dose_audio_seconds", "Seconds of sound taken in", ["route"])
REJECTED = Counter("dose_rejected", "Requests sent away before any work", ["reason"])
JOBS = Counter("dose_jobs", "Jobs by how they ended", ["state"])
BATCH_ROWS = Histogram(
    "dose_batch_rows", "Rows decoded together", buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
)
ANSWERS = Counter("dose_extractions", "Extractions by models", ["version", "outcome"])
CONFIDENCE = Summary("dose_confidence", "Mean confidence of a kit", ["version"])
RELOADS = Counter("dose_reloads", "Attempts to load models", ["outcome"])


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "request_id": request_id.get(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def start_logging() -> None:
    """One JSON object per line on stderr. Called when the service starts, not on import."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    log.handlers[:] = [handler]
    log.setLevel(logging.INFO)
    log.propagate = False


def event(name: str, *, level: int = logging.INFO, error: BaseException | None = None, **facts: Any) -> None:
    log.log(level, name, extra={"facts": facts}, exc_info=error)


def new_request_id(offered: str | None) -> str:
    """The caller's own id if it is harmless in a log line and a header, else a fresh one."""
    return offered if offered and re.fullmatch(r"[\w.-]{1,64}", offered) else secrets.token_hex(8)


class StageClock:
    """Splits a run into named stages, which may take turns, and books the time of each when the run ends."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._open: dict[str, float] = {}
        self._stage: str | None = None
        self._since = time.perf_counter()

    def enter(self, stage: str | None) -> None:
        now = time.perf_counter()
        if self._stage is not None and stage != self._stage:
            self._open[self._stage] = self._open.get(self._stage, 0.0) + now - self._since
        if stage != self._stage:
            self._stage, self._since = stage, now
        if stage is None:
            for name, spent in self._open.items():
                STAGE_SECONDS.labels(name).observe(spent)
                self.seconds[name] = self.seconds.get(name, 0.0) + spent
            self._open = {}

    @contextlib.contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        self.enter(stage)
        try:
            yield
        finally:
            self.enter(None)
