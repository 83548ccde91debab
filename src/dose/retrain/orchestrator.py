"""The job: one start looks whether a run is unfinished or due, and carries it through its phases.

The phases themselves are given (`Steps`), so that this file knows neither dvc nor mlflow. Each must be safe
to do twice: a start that was killed within a phase does that phase again. A run is promoted only with its
report on disk. Whatever goes wrong, the champions stay as they are.
"""

import dataclasses
import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dose import files
from dose.errors import DoseError
from dose.retrain import report, run_state
from dose.retrain.config import RetrainConfig
from dose.retrain.lock import Busy, Clock, Lock, utc_now
from dose.retrain.run_state import RunState, RunStateStore
from dose.retrain.triggers import Reference, Situation, due, read_signals

HOME = Path("data/retrain")  # below the project's root: journal, intakes, rejects, runs, the worktree
SIGNALS = "signals.jsonl"  # what the service saw, one line per extraction
REFERENCE = "reference.json"  # the same features of the training mixes


class Steps(Protocol):
    """The outside world of a run."""

    def waiting(self) -> int:
        """Sounds in the watched folder that no run has taken in."""
        ...

    def key(self) -> str:
        """Names the data and params that a run begun now would train on."""
        ...

    def do(self, phase: str, run: RunStateStore, folder: Path) -> dict[str, Any]:
        """Does one of journal.PHASES; results of earlier ones are in `run.done`. Plain values only."""
        ...

    def give_up(self, run: RunStateStore) -> None:
        """Clears up after a run that failed for good; may be called twice."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a start came to: idle, nothing to do, promoted, kept, failed."""

    status: str
    says: str
    run: RunStateStore | None = None


class Orchestrator:
    """Retraining in the folder `home`; `clock` and `free` (bytes of disk) can be set by tests."""

    def __init__(
        self,
        config: RetrainConfig,
        steps: Steps,
        home: Path = HOME,
        *,
        clock: Clock = utc_now,
        free: Callable[[], int] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.config, self.steps, self.home, self.clock, self.say = config, steps, home, clock, say
        self._free = free or (lambda: shutil.disk_usage(home).free)

    def start(self, *, force: str | None = None) -> Outcome:
        """Goes on with the unfinished run, else begins one if a trigger says so or `force` gives a cause.

        Raises Busy when another start is at work, DoseError when a phase failed that is worth another start.
        """
        with Lock(self.home, self.config.lock_hours, self.clock) as lock:
            run = run_state.read(self._journal, RunStateStore)
            if run is None:
                begun = self._begin(force)
                if isinstance(begun, Outcome):
                    return begun
                run = begun
            else:
                self.say(f"going on with {run.id} at {run.next or 'the end'}")
            return self._carry(run, lock)

    def folder(self, run: RunStateStore) -> Path:
        """Where a run keeps its report and scores."""
        return self.home / "runs" / run.id

    def situation(self) -> Situation:
        """What the triggers would see now."""
        state = self._state()
        return Situation(
            now=self.clock(),
            since=datetime.datetime.fromisoformat(state.since),
            new_clips=self.steps.waiting(),
            signals=read_signals(self.home / SIGNALS)[state.seen :],
            before=state.confidence,
            reference=run_state.read(self.home / REFERENCE, Reference),
        )

    def _begin(self, force: str | None) -> Outcome | RunStateStore:
        self._check_disk()
        state = self._state()
        causes = [force] if force else due(self.config.triggers, self.situation())
        if not causes:
            return Outcome(status="idle", says="No trigger asks for a run.")
        key = self.steps.key()
        if key == state.key:
            self._remember(dataclasses.replace(state, since=self._now()))
            return Outcome(
                status="nothing to do", says=f"{causes[0]} Data and params are those of the last run."
            )
        run = run_state.new(key, causes, self.clock())
        files.write_json(self._journal, run)
        return run

    def _carry(self, run: RunStateStore, lock: Lock) -> Outcome:
        folder = self.folder(run)
        while (phase := run.next) is not None:
            lock.renew()
            self._check_disk()
            if phase == "promote":
                report.write(run, folder)
            self.say(f"{run.id}: {phase}")
            try:
                run = run.with_result(phase, self.steps.do(phase, run, folder))
            except Busy:
                raise
            except Exception as e:
                run = run.with_failure(phase, f"{phase}: {_sentence(e)}", self.config.attempts)
                files.write_json(self._journal, run)
                if not run.failed:
                    raise DoseError(f"Retraining stopped at {run.error} The next start goes on there.") from e
            else:
                files.write_json(self._journal, run)
        report.write(run, folder)
        self._end(run, folder)
        return Outcome(status=run.outcome, says=report.headline(run), run=run)

    def _end(self, run: RunStateStore, folder: Path) -> None:
        """The journal goes last: until then a killed start ends the run once more, to the same effect."""
        if run.failed:
            try:
                self.steps.give_up(run)
            except Exception as e:  # a store that is away: the report is out, the champions are in service
                self.say(f"{run.id}: what it left behind stays ({_sentence(e)})")
        signals = read_signals(self.home / SIGNALS)
        state = self._state()
        recent = [s.confidence for s in signals[state.seen :]]
        confidence = float(np.mean(recent)) if recent else state.confidence
        key = state.key if run.failed else run.key
        self._remember(RunState(since=run.started, key=key, seen=len(signals), confidence=confidence))
        files.write_json(folder / "journal.json", run)
        self._journal.unlink()

    def _check_disk(self) -> None:
        gb = self._free() / 1e9
        if gb < self.config.free_gb:
            raise DoseError(
                f"Only {gb:.1f} GB of disk are free; retraining needs {self.config.free_gb:.1f} GB "
                "(retrain.free_gb). Make room; the next start goes on."
            )

    @property
    def _journal(self) -> Path:
        return self.home / "journal.json"

    def _now(self) -> str:
        return self.clock().isoformat(timespec="seconds")

    def _state(self) -> RunState:
        state = run_state.read(self.home / "state.json", RunState)
        if state is None:
            state = RunState(since=self._now())
            self._remember(state)
        return state

    def _remember(self, state: RunState) -> None:
        files.write_json(self.home / "state.json", state)


def _sentence(e: Exception) -> str:
    text = " ".join(str(e).split()) or "no reason given"
    text = text if isinstance(e, DoseError) else f"{type(e).__name__}: {text}"
    return text if text.endswith((".", "!", "?")) else f"{text}."
