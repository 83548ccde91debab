"""The thread that works through the jobs, one song at a time."""

import dataclasses
import threading
import time

from dose.errors import DoseError
from serving import inference, telemetry
from serving.feedback import FeedbackLog
from serving.jobs import kit_store
from serving.jobs.store import Job, JobStore, State
from serving.limits import APIError
from serving.models.manager import ModelManager
from serving.settings import ServingConfig
from serving.uploads import InferenceParams


@dataclasses.dataclass(kw_only=True)
class Run:
    """What is known of the job in work, besides its row."""

    job: Job
    since: float
    stop: threading.Event
    fraction: float = 0.0
    stage: str = "waiting"
    cancelled: bool = False
    overdue: bool = False


class Runner:
    """Claims jobs until told to stop; a stopped run goes back to the queue."""

    def __init__(
        self, config: ServingConfig, engine: ModelManager, store: JobStore, signals: FeedbackLog
    ) -> None:
        self.config, self.engine, self.store, self.signals = config, engine, store, signals
        self._wake, self._stop = threading.Event(), threading.Event()
        self._current: Run | None = None
        self._worker: threading.Thread | None = None
        self._keeper = threading.Thread(target=self._keep_order, name="jobs keeper", daemon=True)

    def start(self) -> None:
        self._new_worker()
        self._keeper.start()

    def stop(self, patience: float = 20.0) -> None:
        """Ends the run at its next step and puts its job back; waits at most `patience` seconds for it."""
        self._stop.set()
        self._wake.set()
        if run := self._current:
            run.stop.set()
        if self._worker:
            self._worker.join(patience)
        if run and self._worker and self._worker.is_alive():
            self.store.give_back(run.job)

    def wake(self) -> None:
        """Tells the worker that there may be a job."""
        telemetry.QUEUE_DEPTH.labels("songs").set(self.store.waiting())
        self._wake.set()

    def running(self, job: str) -> Run | None:
        run = self._current
        return run if run and run.job.id == job else None

    def cancel(self, job: str) -> bool:
        """Asks the run of `job` to stop; it does at its next step."""
        if run := self.running(job):
            run.cancelled = True
            run.stop.set()
        return run is not None

    def _new_worker(self) -> None:
        self._worker = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._worker.start()

    def _work(self) -> None:
        me = threading.current_thread()
        while not self._stop.is_set() and self._worker in (me, None):
            self._wake.clear()
            if not self.engine.ready:
                self._wake.wait(0.2)
                continue
            job = self.store.claim()
            if job is None:
                self._wake.wait(5.0)
                continue
            telemetry.QUEUE_DEPTH.labels("songs").set(self.store.waiting())
            run = Run(job=job, since=time.monotonic(), stop=threading.Event())
            self._current = run
            self._finish(run)
            if self._current is run:
                self._current = None

    def _finish(self, run: Run) -> None:
        telemetry.request_id.set(run.job.id[:8])  # this thread's own context
        state: State = "done"
        error = None
        try:
            self._extract(run)
        except inference.Stopped:
            if not run.cancelled and not run.overdue:
                self.store.give_back(run.job)
                telemetry.event("job put back")
                return
            state = "cancelled" if run.cancelled else "failed"
            error = None if run.cancelled else self._too_long()
        except APIError as e:
            state, error = "failed", e.sentence
        except DoseError as e:
            state, error = "failed", str(e)
        except Exception as e:  # a bug must not end the worker
            telemetry.event("job broke", level=40, error=e)
            state, error = "failed", "The service made a mistake with this song; retry, or send another one."
        if self.store.end(run.job, state, error):
            telemetry.JOBS.labels(state).inc()
            seconds = round(time.monotonic() - run.since, 3)
            telemetry.event("job ended", state=state, seconds=seconds, why=error)

    def _extract(self, run: Run) -> None:
        folder = self.store.path(run.job.id)

        def report(fraction: float, stage: str) -> None:
            run.fraction, run.stage = fraction, stage

        base = kit_store.load(folder / "base") if (folder / "base").is_dir() else None
        clock = telemetry.StageClock()
        with open(folder / "song", "rb") as song:
            kit = inference.run(
                self.engine,
                song,
                InferenceParams(**run.job.options),
                self.config.song,
                clock=clock,
                route="/jobs",
                cancelled=run.stop,
                report=report,
            )
        with clock("pack"):
            kit_store.keep(kit, folder / "kit", base)
        self.signals.note(kit, reroll=base is not None)

    def _keep_order(self) -> None:
        """Gives up runs that take too long, and deletes what is old."""
        swept = 0.0
        while not self._stop.wait(0.5):
            run = self._current
            overdue = time.monotonic() - run.since - self.config.song_timeout_s if run else 0.0
            if run and overdue > 0:
                run.overdue = True
                run.stop.set()
            if run and overdue > 30:  # it does not even look at `stop`: leave that thread behind
                self.store.end(run.job, "failed", self._too_long())
                self._current = None
                self._new_worker()
            if time.monotonic() - swept > 60:
                swept = time.monotonic()
                self.store.expire(time.time() - 3600 * self.config.keep_hours)

    def _too_long(self) -> str:
        return f"The song took longer than {self.config.song_timeout_s:g} s; send a shorter cut of it."
