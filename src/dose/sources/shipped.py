"""The bank that comes with the package: real one-shots and rendered riffs that may be passed on.

`samples/samples.csv` has one row per file of `samples/`, with the SHA-256 of its audio; the licences are in
`bank/NOTICE-*.md`. Both are made by `dose.sources.ship`. `demo/` holds whole recorded loops for trying
things out; they are never a part of the catalogue.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dose import audio
from dose.errors import IntegrityError, MissingInputError
from dose.sources.item import SourceItem
from dose.sources.library import quantise, sound_id

HERE = Path(__file__).parent
BANK = HERE / "samples"
DEMO = HERE / "demo"
COLUMNS = (
    "file", "id", "cls", "variant", "package", "version", "kit", "author", "licence", "attribution",
    "group", "split", "seconds", "lead_in_ms", "peak_db", "origin",
)  # fmt: skip


def rows(folder: Path = BANK) -> list[dict[str, str]]:
    """samples.csv as it stands."""
    if not (folder / "samples.csv").is_file():
        raise MissingInputError(f"{folder / 'samples.csv'} is missing; install the package again.")
    with open(folder / "samples.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def takes(folder: Path = BANK) -> Iterator[SourceItem]:
    """Every clip of the bundled bank, already clean."""
    for row in rows(folder):
        yield SourceItem(
            name=Path(row["file"]).stem,
            cls=row["cls"],
            load=lambda r=row: _load(folder / r["file"], r["id"]),  # type: ignore[misc]
            source="bundled",
            clean=True,
            lead_in_ms=float(row["lead_in_ms"]),
            peak_db=float(row["peak_db"]),
            variant=row["variant"],
            package=row["package"],
            version=row["version"],
            kit=row["kit"],
            author=row["author"],
            licence=row["licence"],
            attribution=row["attribution"],
            group=row["group"],
            split=row["split"],
            origin=row["origin"],
        )


def _load(path: Path, promised: str) -> np.ndarray:
    sound = audio.read(path)
    if sound_id(quantise(sound)) != promised:
        raise IntegrityError(f"{path} is not the sound that samples.csv names; install the package again.")
    return sound


def demo_recordings() -> list[Path]:
    """Whole recorded loops (CC0, see demo/NOTICE.md), for demonstrations and listening tests."""
    return sorted(DEMO.glob("*.flac"))
