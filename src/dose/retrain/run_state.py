"""What a run has done so far, on disk after every phase, so that any start can go on with it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from dose import files
from dose.config import parse

PHASES = ("intake", "version", "repro", "evaluate", "gate", "promote", "bento")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunStateStore:
    """One run. `done` holds each finished phase's result; a phase that is not in it has yet to be done."""

    id: str
    key: str  # names data and params: the same key a second time is nothing to do
    causes: tuple[str, ...]
    started: str  # ISO 8601, UTC
    done: dict[str, Any] = dataclasses.field(default_factory=dict)
    attempts: dict[str, int] = dataclasses.field(default_factory=dict)  # of phases that failed
    error: str = ""  # of the last attempt
    failed: bool = False  # given up

    @property
    def next(self) -> str | None:
        """The phase to do now; None when all are done or the run was given up."""
        return None if self.failed else next((p for p in PHASES if p not in self.done), None)

    @property
    def promoted(self) -> tuple[str, ...]:
        return tuple(self.done.get("promote", {}).get("drums", ()))

    @property
    def outcome(self) -> str:
        if self.failed:
            return "failed"
        if self.next is not None:
            return "unfinished"
        return "promoted" if self.promoted else "kept"

    def with_result(self, phase: str, result: dict[str, Any]) -> "RunStateStore":
        return dataclasses.replace(self, done={**self.done, phase: result}, error="")

    def with_failure(self, phase: str, error: str, limit: int) -> "RunStateStore":
        count = self.attempts.get(phase, 0) + 1
        return dataclasses.replace(
            self, attempts={**self.attempts, phase: count}, error=error, failed=count >= limit
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunState:
    """What is remembered between runs."""

    since: str  # when the last run began; at first, when retraining was first looked at
    key: str = ""  # of the last run that ended
    seen: int = 0  # signals of the service that earlier runs have looked at
    confidence: float | None = None  # their mean confidence


def read(path: Path, cls: type) -> Any:
    """A Journal or State, or None where there is no file."""
    return parse(cls, files.read_json(path), str(path)) if path.is_file() else None


def new(key: str, causes: list[str], now: datetime.datetime) -> RunStateStore:
    return RunStateStore(
        id=f"{now:%Y%m%d-%H%M%S}-{key[:6]}", key=key, causes=tuple(causes),
        started=now.isoformat(timespec="seconds"),
    )  # fmt: skip
