"""Ingestion of new sounds from the watched folder: validated, with a licence, stored under their hash.

incoming/licence.yaml      licence and author of all the sounds beside it
incoming/kick/kit-a/*.wav  the layout of `dose sources add`
"""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import yaml

from dose import files
from dose.config import parse
from dose.errors import AudioError, ConfigError, MissingInputError
from dose.sources.adapters.folder import SUFFIXES, class_of
from dose.sources.cleaning import clean, read
from dose.sources.library import CLASSES, kind_of

LICENCE = "licence.yaml"
# In each stored batch: licence, author, SHA-256 of each file.
METADATA = "intake.json"  # an old name, kept in stored files


@dataclasses.dataclass(frozen=True, kw_only=True)
class Licence:
    """licence.yaml; without it nothing is ingested."""

    licence: str
    author: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class IngestionResult:
    """What one run ingested."""

    accepted: int
    rejected: dict[str, str]  # file -> reason


def pending_files(folder: Path) -> list[Path]:
    """The sound files below the watched folder, sorted; none where it does not exist."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def ingest(folder: Path, store: Path, rejected: Path) -> IngestionResult:
    """Moves the valid sounds of `folder` as one batch to `store`/<id>, the others to `rejected`.

    Safe to be killed: a sound leaves the folder only when it is in the store, and one that is in the store is
    not stored again. Raises MissingInputError or ConfigError without a valid licence.yaml.
    """
    found = pending_files(folder)
    if not found:
        return IngestionResult(accepted=0, rejected={})
    licence = read_licence(folder / LICENCE)
    known = {digest for metadata in stored_batches(store).values() for digest in metadata["files"].values()}
    valid: dict[str, str] = {}  # name -> SHA-256
    invalid: dict[str, str] = {}  # name -> reason
    # Every file is either valid or rejected with a reason.
    for path in found:
        name, digest = path.relative_to(folder).as_posix(), files.sha256(path)
        if (reason := rejection_reason(path, name)) is not None:
            invalid[name] = reason
        elif digest in known or digest in valid.values():
            invalid[name] = "It was ingested before."
        else:
            valid[name] = digest
    if valid:
        # One batch per run, renamed into the store when it is complete.
        _store_batch(folder, store, licence, valid)
    # Rejected files leave the folder too, so that they do not fire the trigger again.
    for name in invalid:
        target = rejected / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / name, target)
    # Only now: until here a killed run leaves every sound in the folder.
    for name in valid:
        (folder / name).unlink()
    return IngestionResult(accepted=len(valid), rejected=invalid)


def read_licence(path: Path) -> Licence:
    if not path.is_file():
        raise MissingInputError(
            f"{path} is missing; write `licence:` and `author:` of the sounds beside it, or remove them."
        )
    try:
        return parse(Licence, yaml.safe_load(path.read_text()), str(path))
    except yaml.YAMLError as e:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(e).split())}.") from e


def rejection_reason(path: Path, name: str) -> str | None:
    """Why a sound cannot be used, or None; `name` is its path in the watched folder."""
    cls = class_of(Path(name).parts[0])
    if cls not in CLASSES:
        return f"It lies in no folder named after a class ({', '.join(CLASSES)})."
    kind = kind_of(cls)
    try:
        clean(read(path, kind), kind, name)
    except AudioError as e:
        return str(e)
    return None


def stored_batches(store: Path) -> dict[str, dict[str, Any]]:
    """Batch id -> its metadata, sorted by id."""
    return {p.parent.name: files.read_json(p) for p in sorted(store.glob(f"*/{METADATA}"))}


def _store_batch(folder: Path, store: Path, licence: Licence, valid: dict[str, str]) -> None:
    metadata = {"licence": licence.licence, "author": licence.author, "files": valid}
    with files.atomic(store / files.hash_json(metadata)) as beside:
        for name in valid:
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
        files.write_json(beside / METADATA, metadata)
