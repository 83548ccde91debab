"""A queue of messages on disk: appended before anything else happens, counted off when delivered."""

import json
from collections import deque
from pathlib import Path
from typing import Any

from dose.files import atomic

Message = dict[str, Any]


class MessageLog:
    """The messages in `folder`/messages.jsonl; `folder`/delivered counts how many of them were delivered.

    Not safe for several threads: `Outbox` holds its lock around `append`, `peek` and `pop`.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._counter = folder / "delivered"
        path = folder / "messages.jsonl"
        # The counter is written after delivery: a kill in between repeats a message, which is harmless.
        self._delivered = int(self._counter.read_text()) if self._counter.exists() else 0
        self._queue = deque(json.loads(line) for line in _complete_lines(path)[self._delivered :])
        self._file = path.open("a")

    def __len__(self) -> int:
        """Messages not yet delivered."""
        return len(self._queue)

    def append(self, message: Message) -> None:
        self._file.write(json.dumps(message) + "\n")
        # To the operating system, which survives a kill of this process.
        self._file.flush()
        self._queue.append(message)

    def peek(self, limit: int) -> list[Message]:
        """The first message, with the metrics of the same run right after it that fit into one request."""
        first = self._queue[0]
        batch = [first]
        if first["kind"] == "metrics":
            for message in list(self._queue)[1:limit]:
                if message["kind"] != "metrics" or message["key"] != first["key"]:
                    break
                batch.append(message)
        return batch

    def count_delivered(self, count: int) -> None:
        """Writes the counter; `pop` then removes as many messages from memory."""
        self._delivered += count
        with atomic(self._counter) as beside:
            beside.write_text(str(self._delivered))

    def pop(self, count: int) -> None:
        for _ in range(count):
            self._queue.popleft()

    def close(self) -> None:
        self._file.close()


def _complete_lines(path: Path) -> list[bytes]:
    """The lines of the file, from which an incomplete last line is removed: its writer was killed."""
    if not path.exists():
        return []
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        content = content[: content.rfind(b"\n") + 1]
        path.write_bytes(content)
    return content.splitlines()
