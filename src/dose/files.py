"""Atomic writes, JSON, uncompressed archives, hashes and manifests."""

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import signal
import struct
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dose.errors import IntegrityError, MissingInputError

MANIFEST = "manifest.json"


@contextlib.contextmanager
def atomic(path: Path | str) -> Iterator[Path]:
    """A temporary path beside `path`: renamed to it if the block succeeds, removed if it raises.

    The temporary name keeps the suffix, because encoders choose the format by it. Works for a file or a
    folder; an existing folder is replaced.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    beside = path.with_name(f".{path.stem}.{secrets.token_hex(4)}{path.suffix}")
    try:
        yield beside
        if beside.is_dir() and path.is_dir():
            # A folder cannot be renamed onto one that is not empty.
            old = beside.with_suffix(".old")
            path.rename(old)
            beside.rename(path)
            shutil.rmtree(old)
        else:
            os.replace(beside, path)
    finally:
        if beside.is_dir():
            shutil.rmtree(beside, ignore_errors=True)
        else:
            beside.unlink(missing_ok=True)


def printable(text: object) -> str:
    """A name as text that every file format and terminal accepts.

    Bytes that are not UTF-8, which Python represents as lone surrogates, become \\udcXX; control characters,
    which XML forbids and which end a line or colour a terminal, become spaces.
    """
    plain = str(text).encode("utf-8", "backslashreplace").decode("utf-8")
    control = ("Cc", "Zl", "Zp")  # Unicode categories: control, line separator, paragraph separator
    return "".join(" " if unicodedata.category(c) in control or c in "\ufffe\uffff" else c for c in plain)


def write_json(path: Path | str, value: Any) -> None:
    """Writes indented JSON. NaN and infinity raise ValueError, since they are not JSON."""
    with atomic(path) as beside:
        beside.write_text(json.dumps(value, indent=2, allow_nan=False, default=_json_value) + "\n")


def read_json(path: Path | str) -> Any:
    """Raises MissingInputError when the file is absent and IntegrityError when it is not JSON."""
    path = Path(path)
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; run the stage that makes it (`dvc repro`).")
    try:
        return json.loads(path.read_text())
    except ValueError as e:
        raise IntegrityError(f"{path} is not valid JSON ({e}); delete it and make it again.") from e


@dataclasses.dataclass(frozen=True)
class ArchiveMember:
    """The position of a file inside an archive that `write_archive` wrote."""

    archive: Path
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def read_bytes(self) -> bytes:
        with open(self.archive, "rb") as f:
            f.seek(self.start)
            return f.read(self.size)


def write_archive(path: Path | str, members: Iterable[tuple[str, bytes]]) -> None:
    """Writes an uncompressed zip of (name, content) pairs, whole or not at all, in reproducible bytes."""
    with atomic(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for name, content in members:
            # Date (1980), system (3 = Unix) and mode are fixed: nothing of this machine enters the bytes.
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o644 << 16
            archive.writestr(info, content)


def archive_members(path: Path | str) -> dict[str, ArchiveMember]:
    """The files of an archive by name, in its order. Raises IntegrityError for another kind of zip."""
    path = Path(path)
    found = {}
    try:
        # A local header has 30 bytes, then a name and an extra field, whose sizes stand at its byte 26.
        with open(path, "rb") as f, zipfile.ZipFile(f) as archive:
            for info in archive.infolist():
                f.seek(info.header_offset + 26)
                start = info.header_offset + 30 + sum(struct.unpack("<HH", f.read(4)))
                if info.compress_type != zipfile.ZIP_STORED:
                    raise IntegrityError(f"{path} is compressed; delete it and run `dvc repro`.")
                found[info.filename] = ArchiveMember(path, info.filename, start, info.file_size)
    except (zipfile.BadZipFile, struct.error) as e:
        raise IntegrityError(f"{path} is not a whole archive ({e}); delete it and run `dvc repro`.") from e
    return found


def sha256(path: Path | str | ArchiveMember) -> str:
    """Hex SHA-256 of a file's bytes."""
    if isinstance(path, ArchiveMember):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def hash_folder(folder: Path) -> str:
    """16 hex digits of the names and contents of the files in a folder."""
    return hash_json({p.name: sha256(p) for p in folder.iterdir()})


def hash_json(value: Any) -> str:
    """16 hex digits that depend only on the value: keys are sorted, dataclasses become mappings."""
    # Sorted keys and no spaces: one text for one value.
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_json_value)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _json_value(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:  # a numpy or torch scalar
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def write_manifest(folder: Path | str) -> None:
    """Writes `folder/manifest.json`: the SHA-256 of every other file below it."""
    folder = Path(folder)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    write_json(folder / MANIFEST, {p.relative_to(folder).as_posix(): sha256(p) for p in files})


def check_manifest(folder: Path | str) -> None:
    """Raises IntegrityError naming the first file that is missing, changed, or not in the manifest."""
    folder = Path(folder)
    expected = read_json(folder / MANIFEST)
    # Every file must be in the manifest, and every entry of the manifest a file.
    present = {
        p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST
    }
    for name, digest in expected.items():
        if name not in present:
            raise IntegrityError(f"{folder / name} is missing; fetch or make {folder} again.")
        if sha256(folder / name) != digest:
            raise IntegrityError(
                f"{folder / name} was changed after it was made; fetch or make {folder} again."
            )
    if extra := sorted(present - expected.keys()):
        raise IntegrityError(f"{folder / extra[0]} is not in the manifest; remove it or make {folder} again.")


def die_with_parent() -> None:
    """Asks the kernel to kill this process when its parent dies (Linux; elsewhere does nothing).

    A `dvc repro` that is killed with SIGKILL cannot stop its stages; without this they would go on writing
    while the next run writes the same files.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
