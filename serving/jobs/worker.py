"""The worker thread that runs the jobs, one song at a time, and the reaper that bounds their time."""

import dataclasses
import logging
import threading
import time

from dose.errors import DoseError
from serving import inference, telemetry
from serving.feedback import FeedbackLog
from serving.jobs import kit_store
from serving.jobs.store import Job, JobStore, State
from serving.limits import APIError
from serving.models.manager import ModelManager
from serving.schemas import InferenceParams
from serving.settings import ServingConfig

# Seconds; defaults without a study.
_POLL_SECONDS = 5.0  # an idle worker looks for jobs, also without being woken
_READY_POLL_SECONDS = 0.2  # until the models are loaded
_REAP_SECONDS = 0.5  # between two looks at the running job's time
_EXPIRE_SECONDS = 60.0  # between two deletions of expired jobs
_GRACE_SECONDS = 30.0  # for a job to stop after its timeout, before its thread is abandoned


@dataclasses.dataclass(kw_only=True)
class Run:
    """The running job's state that is not in the store."""

    job: Job
    started: float  # monotonic clock, seconds
    stop: threading.Event
    fraction: float = 0.0
    stage: str = "waiting"
    cancelled: bool = False
    timed_out: bool = False


class JobWorker:
    """Claims jobs until it is stopped; an interrupted job goes back to the queue."""

    def __init__(
        self, config: ServingConfig, manager: ModelManager, store: JobStore, feedback: FeedbackLog
    ) -> None:
        self.config, self.manager, self.store, self.feedback = config, manager, store, feedback
        self._wake, self._stop = threading.Event(), threading.Event()
        self._current: Run | None = None
        self._thread: threading.Thread | None = None
        self._reaper = threading.Thread(target=self._reap, name="jobs reaper", daemon=True)

    def start(self) -> None:
        self._start_thread()
        self._reaper.start()

    def stop(self, timeout: float = 20.0) -> None:
        """Stops the run at its next progress report and requeues its job; waits at most `timeout` seconds."""
        self._stop.set()
        self._wake.set()
        if run := self._current:
            run.stop.set()
        if self._thread:
            self._thread.join(timeout)
        if run and self._thread and self._thread.is_alive():
            self.store.requeue(run.job)

    def wake(self) -> None:
        """Makes an idle worker look for jobs."""
        telemetry.QUEUE_DEPTH.labels("songs").set(self.store.waiting())
        self._wake.set()

    def running(self, job_id: str) -> Run | None:
        run = self._current
        return run if run and run.job.id == job_id else None

    def cancel(self, job_id: str) -> bool:
        """Asks the run of the job to stop, which it does at its next progress report."""
        if run := self.running(job_id):
            run.cancelled = True
            run.stop.set()
        return run is not None

    def _start_thread(self) -> None:
        self._thread = threading.Thread(target=self._loop, name="jobs", daemon=True)
        self._thread.start()

    def _loop(self) -> None:
        thread = threading.current_thread()
        # A thread that the reaper abandoned is no longer `_thread`, and ends after its run.
        while not self._stop.is_set() and self._thread in (thread, None):
            # Cleared before looking: a job that arrives after the look sets it again.
            self._wake.clear()
            if not self.manager.ready:
                self._wake.wait(_READY_POLL_SECONDS)
                continue
            job = self.store.claim()
            if job is None:
                self._wake.wait(_POLL_SECONDS)
                continue
            telemetry.QUEUE_DEPTH.labels("songs").set(self.store.waiting())
            run = Run(job=job, started=time.monotonic(), stop=threading.Event())
            self._current = run
            self._run(run)
            # The reaper may have abandoned this run and started another.
            if self._current is run:
                self._current = None

    def _run(self, run: Run) -> None:
        """Runs the job and stores how it ended."""
        telemetry.request_id.set(run.job.id[:8])  # a context variable: it affects this thread only
        state: State = "done"
        error = None
        try:
            self._extract(run)
        except inference.Cancelled:
            if not run.cancelled and not run.timed_out:  # the service is stopping
                self.store.requeue(run.job)
                telemetry.event("job requeued")
                return
            state = "cancelled" if run.cancelled else "failed"
            error = None if run.cancelled else self._timeout_message()
        except APIError as e:
            state, error = "failed", e.message
        except DoseError as e:
            state, error = "failed", str(e)
        except Exception as e:  # a bug must not end the worker
            telemetry.event("job broke", level=logging.ERROR, error=e)
            state, error = "failed", "The service made a mistake with this song; retry, or send another one."
        if self.store.end(run.job, state, error):
            telemetry.JOBS.labels(state).inc()
            seconds = round(time.monotonic() - run.started, 3)
            telemetry.event("job ended", state=state, seconds=seconds, error_message=error)

    def _extract(self, run: Run) -> None:
        folder = self.store.path(run.job.id)

        def report(fraction: float, stage: str) -> None:
            run.fraction, run.stage = fraction, stage

        # A re-roll extracts some drums; the kit that it started from provides the others.
        base = kit_store.load(folder / "base") if (folder / "base").is_dir() else None
        clock = telemetry.StageClock()
        with open(folder / "song", "rb") as song:
            kit = inference.run(
                self.manager,
                song,
                InferenceParams(**run.job.options),
                self.config.song,
                clock=clock,
                route="/jobs",
                cancelled=run.stop,
                report=report,
            )
        with clock("pack"):
            kit_store.save(kit, folder / "kit", base)
        self.feedback.add(kit, reroll=base is not None)

    def _reap(self) -> None:
        """Stops runs that exceed the timeout, and deletes expired jobs."""
        last_expiry = 0.0
        while not self._stop.wait(_REAP_SECONDS):
            run = self._current
            overdue = time.monotonic() - run.started - self.config.song_timeout_s if run else 0.0
            if run and overdue > 0:
                run.timed_out = True
                run.stop.set()
            # It has not reported progress since: abandon its thread and start a new one.
            if run and overdue > _GRACE_SECONDS:
                self.store.end(run.job, "failed", self._timeout_message())
                self._current = None
                self._start_thread()
            if time.monotonic() - last_expiry > _EXPIRE_SECONDS:
                last_expiry = time.monotonic()
                self.store.expire(time.time() - 3600 * self.config.keep_hours)

    def _timeout_message(self) -> str:
        return f"The song took longer than {self.config.song_timeout_s:g} s; send a shorter cut of it."
