"""Where Tune keeps a sweep's state, such that no accident leaves half a file there.

Tune overwrites its state in place every few seconds. Object stores replace a file whole; on a disk that is
full, or under a driver that is killed, the old state would be gone and the new one cut off: nothing that a
restore could read.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

import pyarrow
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

from dose import files


def open_storage(place: str) -> tuple[FileSystem, str]:
    """The file system of a folder or of a URL such as s3://bucket/folder, and the path there."""
    if "://" in place:
        return FileSystem.from_uri(place)
    return PyFileSystem(_WholeFiles(LocalFileSystem())), place


class _WholeFiles(FSSpecHandler):
    """A local file system whose files are replaced when they are closed, and not at all if a write failed."""

    def open_output_stream(self, path: str, metadata: Any) -> pyarrow.PythonFile:
        return pyarrow.PythonFile(_Beside(Path(path)), mode="w")


class _Beside:
    """A file that takes its name when it is closed. One that is never closed never does."""

    def __init__(self, path: Path) -> None:
        self.stack = contextlib.ExitStack()
        beside = self.stack.enter_context(files.atomic(path))
        self.file = self.stack.enter_context(beside.open("wb", buffering=0))

    @property
    def closed(self) -> bool:
        return self.file.closed

    def write(self, data: bytes) -> int:
        left = memoryview(data)
        try:
            while left:
                left = left[self.file.write(left) :]
        except OSError:
            self.stack.__exit__(*sys.exc_info())  # half a file would take the room that is lacking
            raise
        return len(data)

    def flush(self) -> None:
        pass  # nothing is buffered

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.stack.close()
