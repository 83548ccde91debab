"""The state of a retraining run, on disk after every phase, so that any later start can resume it."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any

from dose import files
from dose.config import parse, was

PHASES = ("ingest", "version", "repro", "evaluate", "gate", "promote", "bento")
RUN_FILE = "run_state.json"  # of the unfinished run, and in the folder of a finished one

# Names in the files of earlier releases, which are still read.
OLD_RUN_FILE = "journal.json"  # old name of RUN_FILE
OLD_PHASES = {"intake": "ingest"}  # old name: today's
OLD_EVIDENCE = {
    "value": "improvement",
    "sure": "superiority_bound",
    "held": "non_inferiority_bound",
    "n": "items",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunState:
    """One run. `done` holds each finished phase's result; a phase that is not in it has yet to be done."""

    id: str
    key: str  # identifies data and params: a second run with the same key has nothing to do
    causes: tuple[str, ...]
    started: str  # ISO 8601, UTC
    done: dict[str, Any] = dataclasses.field(default_factory=dict)
    attempts: dict[str, int] = dataclasses.field(default_factory=dict)  # of phases that failed
    error: str = ""  # of the last attempt, beginning with its phase
    failed: bool = False  # abandoned

    @property
    def next(self) -> str | None:
        """The phase to do now; None when all are done or the run was abandoned."""
        return None if self.failed else next((p for p in PHASES if p not in self.done), None)

    @property
    def promoted(self) -> tuple[str, ...]:
        """The drums whose challenger became champion."""
        return tuple(self.done.get("promote", {}).get("drums", ()))

    @property
    def outcome(self) -> str:
        if self.failed:
            return "failed"
        if self.next is not None:
            return "unfinished"
        return "promoted" if self.promoted else "kept"

    def with_result(self, phase: str, result: dict[str, Any]) -> "RunState":
        return dataclasses.replace(self, done={**self.done, phase: result}, error="")

    def with_failure(self, phase: str, error: str, limit: int) -> "RunState":
        """One more failed attempt; the run is abandoned at the attempt `limit` of a phase."""
        count = self.attempts.get(phase, 0) + 1
        return dataclasses.replace(
            self, attempts={**self.attempts, phase: count}, error=f"{phase}: {error}", failed=count >= limit
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TriggerState:
    """What the triggers need of earlier runs."""

    since: str  # when the last run began; before any run, when the triggers were first evaluated
    key: str = ""  # of the last run that ended
    feedback_seen: int = dataclasses.field(default=0, metadata=was("seen"))  # records used by earlier runs
    confidence: float | None = None  # mean confidence of those records


def new_run(key: str, causes: list[str], now: datetime.datetime) -> RunState:
    return RunState(
        id=f"{now:%Y%m%d-%H%M%S}-{key[:6]}",
        key=key,
        causes=tuple(causes),
        started=now.isoformat(timespec="seconds"),
    )


def read_run(home: Path) -> RunState | None:
    """The unfinished run in `home`, or None."""
    # The new file first: a kill between writing it and removing the old one leaves both.
    for path in (home / RUN_FILE, home / OLD_RUN_FILE):
        if path.is_file():
            return parse(RunState, _current_names(files.read_json(path)), str(path), announce=False)
    return None


def write_run(home: Path, run: RunState) -> None:
    files.write_json(home / RUN_FILE, run)
    (home / OLD_RUN_FILE).unlink(missing_ok=True)


def remove_run(home: Path) -> None:
    for name in (RUN_FILE, OLD_RUN_FILE):
        (home / name).unlink(missing_ok=True)


def _current_names(run: dict[str, Any]) -> dict[str, Any]:
    """A stored run with the names of earlier releases replaced by today's."""
    # An error begins with the name of its phase.
    phase, colon, error = run["error"].partition(": ")
    return run | {
        "done": {OLD_PHASES.get(p, p): _current_result(result) for p, result in run["done"].items()},
        "attempts": {OLD_PHASES.get(p, p): count for p, count in run["attempts"].items()},
        "error": f"{OLD_PHASES.get(phase, phase)}{colon}{error}",
    }


def _current_result(result: dict[str, Any]) -> dict[str, Any]:
    found = {"summary" if k == "says" else k: v for k, v in result.items()}
    for verdict in found.get("verdicts", {}).values():
        verdict["evidence"] = {
            family: {OLD_EVIDENCE.get(k, k): v for k, v in evidence.items()}
            for family, evidence in verdict["evidence"].items()
        }
    return found
