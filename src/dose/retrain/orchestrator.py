"""The retraining orchestrator: one start resumes the unfinished run, or begins one that is due.

The phases are passed in (`Steps`), so that this module needs neither dvc nor mlflow. Each phase must be
idempotent: a start that follows a killed one repeats the phase in which it was killed. A run is promoted only
when its report is on disk. Whatever fails, the champions stay in service.
"""

import dataclasses
import datetime
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dose import files
from dose.config import parse
from dose.errors import DoseError
from dose.retrain import report, run_state
from dose.retrain.config import RetrainConfig
from dose.retrain.lock import AlreadyRunningError, Clock, Lock, utc_now
from dose.retrain.run_state import RunState, TriggerState
from dose.retrain.triggers import DriftReference, FeedbackRecord, TriggerInputs, due, read_feedback

HOME = Path("data/retrain")  # below the project's root: run state, ingested and rejected sounds, reports
FEEDBACK_LOG = "feedback.jsonl"  # written by the service, one line per extraction
OLD_FEEDBACK_LOG = "signals.jsonl"  # its name in earlier releases; its lines are older
DRIFT_REFERENCE = "reference.json"  # the training mixes' statistics of the same features


class Steps(Protocol):
    """The project in which a run works."""

    def new_sounds(self) -> int:
        """How many sound files in the watched folder are not ingested yet."""
        ...

    def data_key(self) -> str:
        """Identifies the data and params on which a run that begins now would train."""
        ...

    def run_phase(self, phase: str, run: RunState, folder: Path) -> dict[str, Any]:
        """Does one of run_state.PHASES; results of earlier ones are in `run.done`. JSON values only."""
        ...

    def abandon(self, run: RunState) -> None:
        """Cleans up after a run that failed for good; may be called twice."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a start: idle, nothing to do, promoted, kept (no challenger was promoted), failed."""

    status: str
    message: str
    run: RunState | None = None


class Orchestrator:
    """Retraining with its state in the folder `home`; tests set `clock` and `free_bytes` (of disk)."""

    def __init__(
        self,
        config: RetrainConfig,
        steps: Steps,
        home: Path = HOME,
        *,
        clock: Clock = utc_now,
        free_bytes: Callable[[], int] | None = None,
        log: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.config, self.steps, self.home, self.clock, self.log = config, steps, home, clock, log
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(home).free)

    def start(self, *, force: str | None = None) -> Outcome:
        """Resumes the unfinished run, or begins one if a trigger fires or `force` gives a reason.

        Raises AlreadyRunningError while another start is at work, DoseError when a phase failed that the next
        start will repeat.
        """
        with Lock(self.home, self.config.lock_hours, self.clock) as lock:
            # An unfinished run goes first, whatever the triggers are.
            run = run_state.read_run(self.home)
            if run is None:
                begun = self._begin(force)
                if isinstance(begun, Outcome):
                    return begun
                run = begun
            else:
                self.log(f"resuming {run.id} at {run.next or 'its end'}")
            return self._run_phases(run, lock)

    def folder(self, run: RunState) -> Path:
        """Where a run stores its report and scores."""
        return self.home / "runs" / run.id

    def trigger_inputs(self) -> TriggerInputs:
        """What the triggers are evaluated on now."""
        state = self._trigger_state()
        reference = self.home / DRIFT_REFERENCE
        return TriggerInputs(
            now=self.clock(),
            since=datetime.datetime.fromisoformat(state.since),
            new_clips=self.steps.new_sounds(),
            feedback=self._feedback()[state.feedback_seen :],
            baseline_confidence=state.confidence,
            reference=(
                parse(DriftReference, files.read_json(reference), str(reference))
                if reference.is_file()
                else None
            ),
        )

    def _feedback(self) -> list[FeedbackRecord]:
        return [r for name in (OLD_FEEDBACK_LOG, FEEDBACK_LOG) for r in read_feedback(self.home / name)]

    def _begin(self, force: str | None) -> Outcome | RunState:
        self._check_disk()
        state = self._trigger_state()
        causes = [force] if force else due(self.config.triggers, self.trigger_inputs())
        if not causes:
            return Outcome(status="idle", message="No trigger fires.")
        key = self.steps.data_key()
        # Training on the same data and params again would reproduce the same models.
        if key == state.key:
            self._write_trigger_state(dataclasses.replace(state, since=self._now()))
            return Outcome(
                status="nothing to do", message=f"{causes[0]} Data and params are those of the last run."
            )
        run = run_state.new_run(key, causes, self.clock())
        run_state.write_run(self.home, run)
        return run

    def _run_phases(self, run: RunState, lock: Lock) -> Outcome:
        """Does the phases that are left, each with its result on disk before the next begins."""
        folder = self.folder(run)
        while (phase := run.next) is not None:
            # Also detects that another process took the lock over while a long phase ran.
            lock.renew()
            self._check_disk()
            # Nothing is promoted without its evidence on disk.
            if phase == "promote":
                report.write(run, folder)
            self.log(f"{run.id}: {phase}")
            try:
                run = run.with_result(phase, self.steps.run_phase(phase, run, folder))
            # The lock is lost: the run now belongs to another process, which must find its state unchanged.
            except AlreadyRunningError:
                raise
            except Exception as e:
                run = run.with_failure(phase, _sentence(e), self.config.attempts)
                run_state.write_run(self.home, run)
                if not run.failed:
                    raise DoseError(f"Retraining stopped at {run.error} The next start resumes there.") from e
            else:
                run_state.write_run(self.home, run)
        report.write(run, folder)
        self._end(run, folder)
        return Outcome(status=run.outcome, message=report.headline(run), run=run)

    def _end(self, run: RunState, folder: Path) -> None:
        """Removes the run state last: the start after a kill repeats this, with the same effect."""
        if run.failed:
            try:
                self.steps.abandon(run)
            except Exception as e:  # for example MLflow is down; report and champions do not depend on it
                self.log(f"{run.id}: cleaning up failed ({_sentence(e)})")
        feedback = self._feedback()
        state = self._trigger_state()
        # The period since the last run becomes the baseline of the next one.
        recent = [r.confidence for r in feedback[state.feedback_seen :]]
        confidence = float(np.mean(recent)) if recent else state.confidence
        # After a failed run the same data and params may be tried again.
        key = state.key if run.failed else run.key
        self._write_trigger_state(
            TriggerState(since=run.started, key=key, feedback_seen=len(feedback), confidence=confidence)
        )
        run_state.write_run(folder, run)
        run_state.remove_run(self.home)

    def _check_disk(self) -> None:
        gb = self._free_bytes() / 1e9
        if gb < self.config.free_gb:
            raise DoseError(
                f"Only {gb:.1f} GB of disk are free; retraining needs {self.config.free_gb:.1f} GB "
                "(retrain.free_gb). Free some; the next start resumes."
            )

    def _now(self) -> str:
        return self.clock().isoformat(timespec="seconds")

    def _trigger_state(self) -> TriggerState:
        path = self.home / "state.json"
        if path.is_file():
            return parse(TriggerState, files.read_json(path), str(path), announce=False)
        state = TriggerState(since=self._now())
        self._write_trigger_state(state)
        return state

    def _write_trigger_state(self, state: TriggerState) -> None:
        files.write_json(self.home / "state.json", state)


def _sentence(e: Exception) -> str:
    text = " ".join(str(e).split()) or "no reason given"
    text = text if isinstance(e, DoseError) else f"{type(e).__name__}: {text}"
    return text if text.endswith((".", "!", "?")) else f"{text}."
