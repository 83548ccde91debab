"""The clips inside the package: recorded one-shots and rendered riffs whose licences allow passing them on.

`samples/samples.csv` has one row per file of `samples/`, with the SHA-256 of its samples;
`samples/NOTICE-*.md` hold the licences. `dose.sources.build_shipped` makes both. `demo/` holds whole recorded
loops for trying things out; they are never part of a sample library.
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
SAMPLES = HERE / "samples"
DEMO = HERE / "demo"
# Columns of samples.csv, in their order.
COLUMNS = (
    "file", "id", "cls", "variant", "package", "version", "kit", "author", "licence", "attribution",
    "group", "split", "seconds", "lead_in_ms", "peak_db", "origin",
)  # fmt: skip


def rows(folder: Path = SAMPLES) -> list[dict[str, str]]:
    """The rows of samples.csv. Raises MissingInputError where the file is absent."""
    if not (folder / "samples.csv").is_file():
        raise MissingInputError(f"{folder / 'samples.csv'} is missing; install the package again.")
    with open(folder / "samples.csv", newline="", encoding="utf-8") as f:
        return list(csv.DictReader(f))


def source_items(folder: Path = SAMPLES) -> Iterator[SourceItem]:
    """Every shipped clip, already clean."""
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


def _load(path: Path, expected_id: str) -> np.ndarray:
    """Float32 [N]; raises IntegrityError where the samples are not those of samples.csv."""
    sound = audio.read(path)
    if sound_id(quantise(sound)) != expected_id:
        raise IntegrityError(f"{path} is not the sound that samples.csv names; install the package again.")
    return sound


def demo_recordings() -> list[Path]:
    """Whole recorded loops (CC0, see demo/NOTICE.md), for demonstrations and listening tests."""
    return sorted(DEMO.glob("*.flac"))
