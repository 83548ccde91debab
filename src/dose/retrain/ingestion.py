"""New sounds out of the watched folder: checked, with a licence on record, kept under their hash.

incoming/licence.yaml      licence and author, for all that lies beside it
incoming/kick/kit-a/*.wav  as `dose sources add` takes them
"""

import dataclasses
import shutil
from pathlib import Path

import yaml

from dose import files
from dose.config import parse
from dose.errors import AudioError, ConfigError, MissingInputError
from dose.sources.adapters.folder import ALIASES, SUFFIXES
from dose.sources.cleaning import clean, read
from dose.sources.library import CLASSES, kind_of

LICENCE = "licence.yaml"
ABOUT = "intake.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Licence:
    """licence.yaml; without it nothing is taken in."""

    licence: str
    author: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ingestion:
    """What one run took in."""

    taken: int
    rejected: dict[str, str]  # file -> why


def waiting(folder: Path) -> list[Path]:
    """The sound files below the watched folder, sorted; none where it does not exist."""
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def take_in(folder: Path, store: Path, rejected: Path) -> Ingestion:
    """Moves what can be used from `folder` to `store`/<id>, the rest to `rejected`.

    Safe to be killed: sounds leave the folder only when they lie in the store, and those that lie there
    already are not stored again. Raises MissingInputError or ConfigError when the licence is not on record.
    """
    found = waiting(folder)
    if not found:
        return Ingestion(taken=0, rejected={})
    licence = read_licence(folder / LICENCE)
    known = {digest for about in stored(store).values() for digest in about["files"].values()}
    good: dict[str, str] = {}  # name -> SHA-256
    bad: dict[str, str] = {}
    for path in found:
        name, digest = path.relative_to(folder).as_posix(), files.sha256(path)
        if (reason := fault(path, name)) is not None:
            bad[name] = reason
        elif digest in known or digest in good.values():
            bad[name] = "It has been taken in before."
        else:
            good[name] = digest
    if good:
        _store(folder, store, licence, good)
    for name in bad:
        target = rejected / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder / name, target)
    for name in good:
        (folder / name).unlink()
    return Ingestion(taken=len(good), rejected=bad)


def read_licence(path: Path) -> Licence:
    if not path.is_file():
        raise MissingInputError(
            f"{path} is missing; write `licence:` and `author:` of the sounds beside it, or take them away."
        )
    try:
        return parse(Licence, yaml.safe_load(path.read_text()), str(path))
    except yaml.YAMLError as e:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(e).split())}.") from e


def fault(path: Path, name: str) -> str | None:
    """Why a sound cannot be used, or None."""
    top = Path(name).parts[0].lower()
    cls = ALIASES.get(top, top)
    if cls not in CLASSES:
        return f"It lies in no folder named after a class ({', '.join(CLASSES)})."
    kind = kind_of(cls)
    try:
        clean(read(path, kind), kind, name)
    except AudioError as e:
        return str(e)
    return None


def stored(store: Path) -> dict[str, dict]:
    """Intake id -> its intake.json, sorted by id."""
    return {p.parent.name: files.read_json(p) for p in sorted(store.glob(f"*/{ABOUT}"))}


def _store(folder: Path, store: Path, licence: Licence, good: dict[str, str]) -> None:
    about = {"licence": licence.licence, "author": licence.author, "files": good}
    with files.atomic(store / files.hash_json(about)) as beside:
        for name in good:
            target = beside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, target)
        files.write_json(beside / ABOUT, about)
