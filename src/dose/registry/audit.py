"""The audit log of the registry: one JSON object per line for each change of a model's aliases."""

import dataclasses
import datetime
import getpass
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class AliasChange:
    """One line of the log. `before` and `after` map every alias of the drum's model to a version."""

    time: str  # ISO 8601, UTC
    action: str  # register, promote, rollback
    drum: str
    version: int  # the version that the change is about: the new champion, or the one just registered
    before: dict[str, int]
    after: dict[str, int]
    reason: str
    by: str  # user@host


def new_change(
    action: str, drum: str, version: int, before: Mapping[str, int], after: Mapping[str, int], reason: str
) -> AliasChange:
    """A change made now by the present user."""
    return AliasChange(
        time=datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
        action=action,
        drum=drum,
        version=version,
        before=dict(before),
        after=dict(after),
        reason=reason,
        by=f"{getpass.getuser()}@{socket.gethostname()}",
    )


class AuditLog:
    """The append-only file `path`; it need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[AliasChange]:
        """All changes, oldest first."""
        lines = self.path.read_text().splitlines() if self.path.is_file() else []
        return [AliasChange(**json.loads(line)) for line in lines]

    def append(self, change: AliasChange) -> None:
        """Returns when the line is on disk: a rollback relies on the log alone."""
        # The registry's lock admits one writer at a time.
        with self.path.open("a") as f:
            f.write(json.dumps(dataclasses.asdict(change)) + "\n")
            f.flush()
            # Without it a power failure could lose the line although the link was switched.
            os.fsync(f.fileno())
