"""One retraining run at a time: a lock file with an owner and an expiry, renewed before every phase.

The package filelock would not replace it: its lock has no expiry and names no owner, and whether it excludes
a process on another machine that mounts the same folder depends on the network file system.
"""

import contextlib
import datetime
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dose import files
from dose.errors import DoseError

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class AlreadyRunningError(DoseError):
    """Another process holds the lock; the message names it and the expiry."""


class Lock:
    """The file lock.json in `home`. Use as a context manager; call `renew` before every step.

    A stale lock is taken over: one that has expired, or whose owner ran on this machine and has ended.
    """

    def __init__(self, home: Path, hours: float, clock: Clock = utc_now) -> None:
        self.path = home / "lock.json"
        self.hours, self.clock = hours, clock
        self.token = secrets.token_hex(8)  # tells this lock from a later one of the same process id

    def __enter__(self) -> "Lock":
        with self._exclusive():
            holder = self._read()
            if holder is not None and not self._is_stale(holder):
                raise AlreadyRunningError(
                    f"{holder['owner']} is retraining (process {holder['pid']}); its lock expires at "
                    f"{holder['until']}."
                )
            self._write()
        return self

    def __exit__(self, *_: object) -> None:
        with self._exclusive():
            # A lock that another process took over is left alone.
            if (self._read() or {}).get("token") == self.token:
                self.path.unlink()

    def renew(self) -> None:
        """Extends the expiry; raises AlreadyRunningError when another process took the lock over."""
        with self._exclusive():
            holder = self._read()
            if holder is None or holder["token"] != self.token:
                owner = holder["owner"] if holder else "another process"
                raise AlreadyRunningError(f"The lock expired and {owner} took it over; this process stops.")
            self._write()

    def _read(self) -> dict[str, Any] | None:
        return files.read_json(self.path) if self.path.is_file() else None

    def _write(self) -> None:
        until = self.clock() + datetime.timedelta(hours=self.hours)
        files.write_json(
            self.path,
            {
                "owner": socket.gethostname(),
                "pid": os.getpid(),
                "token": self.token,
                "until": until.isoformat(timespec="seconds"),
            },
        )

    def _is_stale(self, holder: dict[str, Any]) -> bool:
        if datetime.datetime.fromisoformat(holder["until"]) <= self.clock():
            return True
        # Process ids have a meaning on this machine only.
        return holder["owner"] == socket.gethostname() and not _is_alive(holder["pid"])

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        """Makes reading and then writing lock.json one step for the processes of this machine."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".guard").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 only checks
    except ProcessLookupError:
        return False
    except PermissionError:  # it exists and belongs to another user
        return True
    return True
