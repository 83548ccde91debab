"""Standard error without the messages of libmpg123."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()  # file descriptor 2 belongs to the whole process


@contextlib.contextmanager
def muted() -> Iterator[None]:
    """Keeps libmpg123's messages off standard error; its C code prints them, and libsndfile has no switch.

    Lines that other threads write there within the block are held back and printed when it ends.
    """
    with _LOCK, tempfile.TemporaryFile() as captured:
        try:
            stderr = os.dup(2)
        except OSError:  # the process has no standard error
            yield
            return
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured:
                if (
                    b"mpg123/" not in line
                    and not line.startswith((b"Warning: Xing", b"Note: "))
                    and line.strip()
                ):
                    os.write(2, line)
