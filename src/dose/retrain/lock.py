"""One retraining at a time: a lock with an owner and an end, that outlives no dead process."""

import contextlib
import datetime
import fcntl
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from dose import files
from dose.errors import DoseError

Clock = Callable[[], datetime.datetime]


def utc_now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class Busy(DoseError):
    """Someone else retrains; the sentence says who and until when the lock holds."""


class Lock:
    """The file lock.json in `home`. Use as a context manager; call `renew` before every step.

    Taken over when its end has passed, or at once when its owner ran on this machine and is gone.
    """

    def __init__(self, home: Path, hours: float, clock: Clock = utc_now) -> None:
        self.path = home / "lock.json"
        self.hours, self.clock = hours, clock
        self.token = secrets.token_hex(8)

    def __enter__(self) -> "Lock":
        with self._alone():
            held = self._read()
            if held is not None and not self._left_behind(held):
                raise Busy(
                    f"{held['owner']} is retraining (process {held['pid']}); its lock holds until "
                    f"{held['until']}."
                )
            self._write()
        return self

    def __exit__(self, *_: object) -> None:
        with self._alone():
            if (self._read() or {}).get("token") == self.token:
                self.path.unlink()

    def renew(self) -> None:
        """Moves the end on; raises Busy when the lock was taken over meanwhile."""
        with self._alone():
            held = self._read()
            if held is None or held["token"] != self.token:
                owner = held["owner"] if held else "someone"
                raise Busy(f"The lock ran out and {owner} took it over; this process stops here.")
            self._write()

    def _read(self) -> dict | None:
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

    def _left_behind(self, held: dict) -> bool:
        if datetime.datetime.fromisoformat(held["until"]) <= self.clock():
            return True
        return held["owner"] == socket.gethostname() and not _alive(held["pid"])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Between reading and writing lock.json nobody else may."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_suffix(".guard").open("w") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            yield


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
