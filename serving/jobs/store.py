"""Jobs that survive a restart: one row of sqlite and one folder each.

state/jobs.sqlite     id, state, options, times, attempts, why it failed
state/<id>/song       the upload, until the job is deleted or expires
state/<id>/base       the kit that a re-roll starts from, when it is one
state/<id>/kit        the result (serving.jobs.kit_store), whole or absent

A job is queued, running, done, failed or cancelled. Only `claim` makes one running, and only in the process
that holds the folder's lock, so a job that is running when the store opens was interrupted by a crash.
"""

import dataclasses
import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from dose.errors import DoseError

State = Literal["queued", "running", "done", "failed", "cancelled"]

_TABLE = """create table if not exists jobs (
    id text primary key, state text not null, options text not null, seconds real not null,
    created real not null, started real, ended real, attempts integer not null default 0, error text
)"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    id: str
    state: State
    options: dict[str, Any]
    seconds: float  # length of the song by its header
    created: float  # Unix time
    started: float | None
    ended: float | None
    attempts: int
    error: str | None


class JobStore:
    """All methods may be called from any thread; each is one transaction."""

    def __init__(self, folder: Path, attempts: int) -> None:
        """Locks the folder and recovers from a crash.

        A job that was running goes back to the queue, or fails with the reason after `attempts` runs, since
        it may have caused the crash. Raises DoseError when another process holds the folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.attempts = folder, attempts
        # One connection for all threads, so that each statement is a transaction of its own.
        self._lock = threading.Lock()
        self._lock_file = open(folder / "lock", "w")  # noqa: SIM115 - held as long as the store
        try:
            # The kernel releases the lock when the process dies, so a crash leaves no stale lock.
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DoseError(
                f"Another service works on the jobs in {folder}; give this one its own with DOSE_STATE."
            ) from None
        self._db = sqlite3.connect(folder / "jobs.sqlite", check_same_thread=False, isolation_level=None)
        self._db.row_factory = sqlite3.Row
        # WAL with full synchronisation: a committed job survives a power cut as well as a crash.
        self._db.execute("pragma journal_mode=wal")
        self._db.execute("pragma synchronous=full")
        self._db.execute(_TABLE)
        self._recover()

    def close(self) -> None:
        with self._lock:
            self._db.close()
        self._lock_file.close()

    def _recover(self) -> None:
        self._execute(
            # First the jobs that used up their attempts, then the others.
            "update jobs set state='failed', ended=?, error=? where state='running' and attempts>=?",
            time.time(),
            f"The service stopped {self.attempts} times while it worked on this song; send a shorter cut.",
            self.attempts,
        )
        self._execute("update jobs set state='queued', started=null where state='running'")
        # A folder without a row is an upload that the crash cut off.
        known = {row["id"] for row in self._execute("select id from jobs")}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    def add(self, options: dict[str, Any], seconds: float, fill: Callable[[Path], None]) -> Job:
        """A new queued job. `fill` writes the song (and base) into its folder, removed on any error."""
        job_id = secrets.token_urlsafe(16)
        folder = self.path(job_id)
        folder.mkdir()
        try:
            fill(folder)
            self._execute(
                "insert into jobs (id, state, options, seconds, created) values (?, 'queued', ?, ?, ?)",
                job_id,
                json.dumps(options),
                seconds,
                time.time(),
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        job = self.get(job_id)
        assert job is not None
        return job

    def get(self, job_id: str) -> Job | None:
        rows = self._execute("select * from jobs where id=?", job_id)
        return _job(rows[0]) if rows else None

    def claim(self) -> Job | None:
        """Makes the oldest queued job running and returns it; None when there is none."""
        rows = self._execute(
            # One statement selects and updates, so that no two threads claim the same job.
            "update jobs set state='running', started=?, attempts=attempts+1 where id="
            "(select id from jobs where state='queued' order by created limit 1) returning *",
            time.time(),
        )
        return _job(rows[0]) if rows else None

    def end(self, job: Job, state: State, error: str | None = None) -> bool:
        """Ends a run that `claim` began; False when that run was already ended, requeued or deleted.

        `attempts` tells the runs of one job apart, so an abandoned thread cannot end the next run.
        """
        return bool(
            self._execute(
                "update jobs set state=?, error=?, ended=? where id=? and state='running' and attempts=? "
                "returning id",
                state,
                error,
                time.time(),
                job.id,
                job.attempts,
            )
        )

    def requeue(self, job: Job) -> None:
        """Queues a job again whose run a shutdown stopped; that run does not count as an attempt."""
        self._execute(
            "update jobs set state='queued', started=null, attempts=attempts-1 "
            "where id=? and state='running' and attempts=?",
            job.id,
            job.attempts,
        )

    def cancel_queued(self, job_id: str) -> bool:
        return bool(
            self._execute(
                "update jobs set state='cancelled', ended=? where id=? and state='queued' returning id",
                time.time(),
                job_id,
            )
        )

    def retry(self, job_id: str) -> bool:
        """Queues a failed or cancelled job again, with all its attempts."""
        return bool(
            self._execute(
                "update jobs set state='queued', attempts=0, started=null, ended=null, error=null, created=? "
                "where id=? and state in ('failed', 'cancelled') returning id",
                time.time(),
                job_id,
            )
        )

    def delete(self, job_id: str) -> None:
        self._execute("delete from jobs where id=?", job_id)
        shutil.rmtree(self.path(job_id), ignore_errors=True)

    def expire(self, before: float) -> None:
        """Deletes jobs that ended before the Unix time `before`."""
        for row in self._execute("select id from jobs where ended is not null and ended<?", before):
            self.delete(row["id"])

    def waiting(self) -> int:
        """Number of queued jobs."""
        return int(self._execute("select count(*) as n from jobs where state='queued'")[0]["n"])

    def position(self, job: Job) -> int:
        """Number of queued jobs before this one."""
        rows = self._execute("select count(*) as n from jobs where state='queued' and created<?", job.created)
        return int(rows[0]["n"])

    def path(self, job_id: str) -> Path:
        """The job's folder. Routes look ids up first; `basename` is a second guard against path traversal."""
        return self.folder / os.path.basename(job_id)

    def _execute(self, statement: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(statement, values).fetchall()


def _job(row: sqlite3.Row) -> Job:
    return Job(**{**dict(row), "options": json.loads(row["options"])})
