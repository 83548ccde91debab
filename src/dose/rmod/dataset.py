"""Rendered items: streamed, written as folders of WAV files, or packed into archives; and read again."""

import dataclasses
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose import audio, files
from dose.cluster import map_shards
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw_many
from dose.rmod.mix_spec import MixSpec
from dose.rmod.patterns import write_midi
from dose.rmod.realistic_items import item as realistic_item
from dose.rmod.render import Rendered, render

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

# Name of a written set in evaluation -> its folder under data/rmod/audio.
DATASETS = {
    "val": "val",
    "rmod": "test",
    "rmod_drums": "test_drums",
    "groove": "test_groove",
    "realistic": "realistic",
    "realistic_drums": "realistic_drums",
}
# The realistic distribution's sets: of the val split's kits, since choices rest on them.
REALISTIC, REALISTIC_SPLIT = "realistic", "val"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestItem:
    """One written item: its sounds, as `audio.read` opens them, and the onsets of each drum in seconds."""

    __test__ = False  # pytest collects classes of this name otherwise

    index: int
    mix_path: Path | files.ArchiveMember
    shots: dict[str, Path] | dict[str, files.ArchiveMember]
    hits: dict[str, tuple[float, ...]]


def items(root: Path | str, dataset: str) -> list[TestItem]:
    """All items of a written set (one of DATASETS), in order.

    The stage packs a shard of items into one archive; folders <index>/, as `dose rmod export` writes them,
    count as well. Raises MissingInputError when the rmod stage has not written the set.
    """
    if dataset not in DATASETS:
        raise DoseError(f"There is no data set '{dataset}'; choose one of {', '.join(DATASETS)}.")
    folder = Path(root) / "audio" / DATASETS[dataset]
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is missing; run `dvc repro rmod` to make it.")
    found = []
    for path in folder.iterdir():
        # A folder of one item, or an archive of a shard of items.
        if path.is_dir() and path.name.isdigit():
            found.append(_item(int(path.name), {p.name: p for p in path.iterdir()}))
        elif path.suffix == ".zip" and path.stem.isdigit():
            found += _packed_items(path)
    return sorted(found, key=lambda item: item.index)


def _packed_items(archive: Path) -> list[TestItem]:
    # Names inside an archive are <index>/<file>.
    by_index: dict[str, dict[str, files.ArchiveMember]] = {}
    for name, member in files.archive_members(archive).items():
        folder, _, file = name.partition("/")
        by_index.setdefault(folder, {})[file] = member
    return [_item(int(index), inside) for index, inside in by_index.items()]


def _item(index: int, inside: dict[str, Any]) -> TestItem:
    hits = json.loads(inside["hits.json"].read_bytes())
    return TestItem(
        index=index,
        mix_path=inside["mix.wav"],
        shots={drum: inside[f"{drum}.wav"] for drum in DRUMS},
        hits={drum: tuple(hits[drum]) for drum in DRUMS},
    )


def stream(
    config: RmodConfig,
    library: "SampleLibrary",
    split: str,
    start: int,
    stop: int,
    *,
    drums_only: bool = False,
    stems: bool = False,
) -> Iterator[Rendered]:
    """Items start..stop of a split ("train", "val", "test", "groove"), rendered in order."""
    for spec in draw_many(config, library, split, start, stop):
        yield render(spec, library, config, drums_only=drums_only, stems=stems)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """What to write for each item, and where."""

    out: Path
    split: str
    drums_only: bool = False
    stems: bool = False
    realistic: bool = False  # of the realistic distribution instead of the paper's; it has no stems


def write_items(
    config: RmodConfig,
    library: "SampleLibrary",
    exports: tuple[Export, ...],
    start: int,
    stop: int,
    *,
    workers: int,
) -> None:
    """Writes items start..stop of each export, in shards, over `workers` processes.

    The bytes do not depend on `workers` or on the size of a shard.
    """
    # The bytes of an item depend on its index only, so any division into shards gives the same files.
    shards = [
        (export, first, min(first + config.shard, stop))
        for export in exports
        for first in range(start, stop, config.shard)
    ]
    job = functools.partial(_export_shard, config, library)
    for _ in map_shards(job, shards, workers=workers, describe="rendering"):
        pass


def _export_shard(config: RmodConfig, library: "SampleLibrary", shard: tuple[Export, int, int]) -> None:
    """Each item's folder whole or not at all."""
    export = shard[0]
    for index, item in _rendered(config, library, *shard):
        with files.atomic(export.out / f"{index:06d}") as folder:
            write_item(item, folder)


def pack_shard(config: RmodConfig, library: "SampleLibrary", export: Export, start: int, stop: int) -> Path:
    """Writes items start..stop of the export as one uncompressed zip of their folders, and returns its path.

    A set of 10,000 is then a hundred files instead of 50,000, each of which dvc would check every time.
    """
    target = export.out / f"{start:06d}.zip"
    items = _rendered(config, library, export, start, stop)
    members = ((f"{i:06d}/{name}", content) for i, item in items for name, content in _files(item))
    files.write_archive(target, members)
    return target


def _rendered(
    config: RmodConfig, library: "SampleLibrary", export: Export, start: int, stop: int
) -> Iterator[tuple[int, Rendered]]:
    split, drums_only = export.split, export.drums_only
    if export.realistic:
        rendered: Iterator[Rendered] = (
            realistic_item(config.realistic, library, split, index, drums_only=drums_only)
            for index in range(start, stop)
        )
    else:
        rendered = stream(config, library, split, start, stop, drums_only=drums_only, stems=export.stems)
    return enumerate(rendered, start=start)


def write_item(item: Rendered, folder: Path) -> None:
    """mix.wav (stereo), kick.wav, snare.wav, hihat.wav (mono, 1 s), hits.json, and stems/ if rendered."""
    for name, content in _files(item):
        with files.atomic(folder / name) as beside:
            beside.write_bytes(content)


def _files(item: Rendered) -> Iterator[tuple[str, bytes]]:
    yield "mix.wav", audio.wav_bytes(item.mix)
    for drum, sound in item.shots.items():
        yield f"{drum}.wav", audio.wav_bytes(sound)
    for name, sound in (item.stems or {}).items():
        yield f"stems/{name}.wav", audio.wav_bytes(sound)
    # Onsets in seconds; allow_nan=False, because NaN is not JSON.
    yield "hits.json", (json.dumps(item.hits, indent=2, allow_nan=False) + "\n").encode()


def write_for_inspection(spec: MixSpec, item: Rendered, folder: Path) -> None:
    """Writes one item with its specification and MIDI."""
    folder.mkdir(parents=True, exist_ok=True)
    write_item(item, folder)
    files.write_json(folder / "mix_spec.json", spec.as_dict())
    with files.atomic(folder / "drums.mid") as beside:
        write_midi(spec, beside)


def counts(config: RmodConfig) -> dict[str, int]:
    """Items of each split, and of the realistic sets."""
    return {
        "train": config.train,
        "val": config.val,
        "test": config.test,
        "groove": config.groove.items,
        REALISTIC: config.realistic_items,
    }


def exports(config: RmodConfig, root: Path) -> dict[str, tuple[Export, ...]]:
    """What the stage writes as audio from each table."""
    base = root / "audio"
    return {
        "train": (),
        "val": (Export(out=base / "val", split="val"),),
        "test": (
            Export(out=base / "test", split="test"),
            Export(out=base / "test_drums", split="test", drums_only=True),
        ),
        "groove": (Export(out=base / "test_groove", split="groove"),),
        REALISTIC: tuple(
            Export(out=base / name, split=REALISTIC_SPLIT, drums_only=drums_only, realistic=True)
            for name, drums_only in (("realistic", False), ("realistic_drums", True))
        ),
    }
