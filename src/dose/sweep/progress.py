"""Training steps of running trials, passed from the workers to the driver's progress bar.

A trial reports to Tune only after an evaluation, which may take minutes. In between, each trial writes its
step to the cluster's key-value store, from which the driver's bar reads it every second.
"""

import threading
import time
from collections.abc import Callable

from tqdm import tqdm

UPDATE_SECONDS = 1.0  # between two updates; a default without a study


def step_writer() -> Callable[[int], None]:
    """For a trial's process: call it with each step. Does nothing outside of a Ray Tune trial."""
    from ray import tune
    from ray.experimental import internal_kv

    trial = tune.get_context().get_trial_id() if internal_kv._internal_kv_initialized() else None
    last = 0.0

    def write(step: int) -> None:
        nonlocal last
        if trial is not None and (now := time.monotonic()) - last >= UPDATE_SECONDS:
            last = now
            internal_kv._internal_kv_put(_key(trial), str(step).encode(), overwrite=True)

    return write


class SweepBar:
    """One bar for all trials of a sweep, in training steps, with the remaining time."""

    def __init__(self, describe: str, total: int, interval: float) -> None:
        self.bar = tqdm(total=total, desc=describe, unit="step", mininterval=interval)
        self._steps: dict[str, int] = {}
        self._running: dict[str, str] = {}  # Tune's id of a trial -> its name here
        self._lock, self._closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._follow, name="sweep progress", daemon=True).start()

    def expect(self, steps: int) -> None:
        """Adds steps beyond those of the search, such as those of the paired run without onset loss."""
        with self._lock:
            self.bar.total += steps

    def started(self, tune_id: str, name: str) -> None:
        with self._lock:
            self._running[tune_id] = name

    def reached(self, name: str, step: int) -> None:
        """Counts a trial's step; one that resumes from an earlier state never moves the bar back."""
        with self._lock:
            self._steps[name] = max(step, self._steps.get(name, 0))
            self.bar.update(sum(self._steps.values()) - self.bar.n)

    def ended(self, tune_id: str, planned: int) -> None:
        """Subtracts from the total the steps that a stopped trial leaves undone."""
        with self._lock:
            done = self._steps.get(self._running.pop(tune_id, ""), 0)
            self.bar.total = max(self.bar.n, self.bar.total - max(0, planned - done))
            self.bar.refresh()

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self.bar.close()

    def _follow(self) -> None:
        while not self._closed.wait(UPDATE_SECONDS):
            # Steps are read outside the lock: a slow cluster must not block the driver's reports.
            for tune_id, name in list(self._running.items()):
                step = read_step(tune_id)
                if step is not None and not self._closed.is_set():
                    self.reached(name, step)
            with self._lock:
                if not self._closed.is_set():
                    self.bar.set_postfix_str(f"{len(self._running)} running", refresh=True)


def read_step(trial: str) -> int | None:
    """The last step that a trial has written; None where it wrote none, or Ray is not running."""
    from ray.experimental import internal_kv

    try:
        step = internal_kv._internal_kv_get(_key(trial)) if internal_kv._internal_kv_initialized() else None
    except Exception:  # of no public type: Ray is shutting down, and the bar with it
        return None
    return int(step) if step else None


def _key(trial: str) -> bytes:
    return f"dose/step/{trial}".encode()
