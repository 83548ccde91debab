"""Storage of Tune's state, in which no crash leaves half a file.

Tune overwrites its state in place every few seconds. An object store replaces a file as a whole. On a local
disk that is full, or when the driver is killed, the old state would be lost and the new one incomplete, and
no restore could read it. Here a local file is written beside its name and renamed.
"""

import contextlib
import sys
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.fs
from fsspec.implementations.local import LocalFileSystem
from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

from dose import files


def open_storage(location: str) -> tuple[FileSystem, str]:
    """The file system of a folder or of a URL such as s3://bucket/folder, and the path there."""
    if "://" in location:
        system, path = FileSystem.from_uri(location)
        return system, path
    return PyFileSystem(_AtomicFiles(LocalFileSystem())), location


def list_folder(checkpoint: Any, folder: str) -> list[str]:
    """Names in a folder of one of Tune's checkpoints, wherever it is stored; none where it has no such."""
    selector = pyarrow.fs.FileSelector(f"{checkpoint.path}/{folder}", allow_not_found=True)
    return [info.base_name for info in checkpoint.filesystem.get_file_info(selector)]


def is_file(checkpoint: Any, name: str) -> bool:
    """Whether a checkpoint holds a file of this name."""
    return bool(_type(checkpoint, name) == pyarrow.fs.FileType.File)


def copy_from(checkpoint: Any, name: str, to: Path) -> None:
    """Copies a file or folder of a checkpoint from its storage, whole or not at all."""
    with files.atomic(to) as beside:
        if _type(checkpoint, name) == pyarrow.fs.FileType.Directory:
            beside.mkdir()
        pyarrow.fs.copy_files(
            f"{checkpoint.path}/{name}", str(beside), source_filesystem=checkpoint.filesystem
        )


def _type(checkpoint: Any, name: str) -> Any:
    return checkpoint.filesystem.get_file_info(f"{checkpoint.path}/{name}").type


class _AtomicFiles(FSSpecHandler):
    """A local file system whose files are replaced when they are closed, and not at all if a write failed."""

    def open_output_stream(self, path: str, metadata: Any) -> pyarrow.PythonFile:
        return pyarrow.PythonFile(_AtomicFile(Path(path)), mode="w")


class _AtomicFile:
    """A file that takes its name when it is closed, and never if it is not."""

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
            self.stack.__exit__(*sys.exc_info())  # frees the space of the incomplete file
            raise
        return len(data)

    def flush(self) -> None:
        pass  # nothing is buffered

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.stack.close()
