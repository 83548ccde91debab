"""Standard error without the lines of libmpg123."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator

_HELD = threading.Lock()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps libmpg123's lines off standard error: it writes them from C, and libsndfile does not stop it.

    What other threads write there meanwhile is held back, and follows.
    """
    with _HELD, tempfile.TemporaryFile() as aside:
        try:
            before = os.dup(2)
        except OSError:  # there is no standard error
            yield
            return
        os.dup2(aside.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(before, 2)
            os.close(before)
            aside.seek(0)
            for line in aside:
                if (
                    b"mpg123/" not in line
                    and not line.startswith((b"Warning: Xing", b"Note: "))
                    and line.strip()
                ):
                    os.write(2, line)
