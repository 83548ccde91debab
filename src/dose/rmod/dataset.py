"""Items in numbers: streamed to whoever trains on them, or written as folders of WAV files."""

import dataclasses
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dose import audio, files
from dose.cluster import map_shards
from dose.drums import DRUMS
from dose.errors import DoseError, MissingInputError
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw_many
from dose.rmod.patterns import write_midi
from dose.rmod.recipe import Recipe
from dose.rmod.render import Rendered, render

if TYPE_CHECKING:
    from dose.sources.catalogue import Bank

# What evaluation calls a set, and where it lies under data/rmod/audio.
DATASETS = {"val": "val", "rmod": "test", "rmod_drums": "test_drums", "groove": "test_groove"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TestItem:
    """One written item: where its sounds lie, and when (s) each drum is hit."""

    __test__ = False  # not a test, whatever pytest makes of the name

    index: int
    mix_path: Path
    shots: dict[str, Path]
    hits: dict[str, tuple[float, ...]]


def items(root: Path | str, dataset: str) -> list[TestItem]:
    """All items of a written set ("val", "rmod", "rmod_drums", "groove"), in order.

    Raises MissingInputError when the rmod stage has not written it.
    """
    if dataset not in DATASETS:
        raise DoseError(f"There is no data set '{dataset}'; choose one of {', '.join(DATASETS)}.")
    folder = Path(root) / "audio" / DATASETS[dataset]
    if not folder.is_dir():
        raise MissingInputError(f"{folder} is missing; run `dvc repro rmod` to make it.")
    return [_item(path) for path in sorted(folder.iterdir()) if path.is_dir() and path.name.isdigit()]


def _item(folder: Path) -> TestItem:
    hits = files.read_json(folder / "hits.json")
    return TestItem(
        index=int(folder.name),
        mix_path=folder / "mix.wav",
        shots={drum: folder / f"{drum}.wav" for drum in DRUMS},
        hits={drum: tuple(hits[drum]) for drum in DRUMS},
    )


def stream(
    config: RmodConfig,
    bank: "Bank",
    split: str,
    start: int,
    stop: int,
    *,
    drums_only: bool = False,
    stems: bool = False,
) -> Iterator[Rendered]:
    """Items start..stop of a split ("train", "val", "test", "groove"), rendered one after the other."""
    for recipe in draw_many(config, bank, split, start, stop):
        yield render(recipe, bank, config, drums_only=drums_only, stems=stems)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Export:
    """What to write for each item, and where."""

    out: Path
    split: str
    drums_only: bool = False
    stems: bool = False


def write_items(
    config: RmodConfig, bank: "Bank", exports: tuple[Export, ...], start: int, stop: int, *, workers: int
) -> None:
    """Writes items start..stop of each export, in shards, over `workers` processes.

    The bytes do not depend on `workers` or on the size of a shard.
    """
    shards = [
        (export, first, min(first + config.shard, stop))
        for export in exports
        for first in range(start, stop, config.shard)
    ]
    job = functools.partial(_export_shard, config, bank)
    for _ in map_shards(job, shards, workers=workers, describe="rendering"):
        pass


def _export_shard(config: RmodConfig, bank: "Bank", shard: tuple[Export, int, int]) -> None:
    render_shard(config, bank, *shard)


def render_shard(config: RmodConfig, bank: "Bank", export: Export, start: int, stop: int) -> list[Path]:
    """Writes items start..stop, each folder whole or not at all; gives the folders."""
    folders = []
    for recipe in draw_many(config, bank, export.split, start, stop):
        item = render(recipe, bank, config, drums_only=export.drums_only, stems=export.stems)
        target = export.out / f"{recipe.index:06d}"
        with files.atomic(target) as folder:
            folder.mkdir()
            write_item(item, folder)
        folders.append(target)
    return folders


def write_item(item: Rendered, folder: Path) -> None:
    """mix.wav (stereo), kick.wav, snare.wav, hihat.wav (mono, 1 s), hits.json, and stems/ if rendered."""
    audio.write(folder / "mix.wav", item.mix)
    for drum, sound in item.shots.items():
        audio.write(folder / f"{drum}.wav", sound)
    for name, sound in (item.stems or {}).items():
        audio.write(folder / "stems" / f"{name}.wav", sound)
    files.write_json(folder / "hits.json", item.hits)


def write_shown(recipe: Recipe, item: Rendered, folder: Path) -> None:
    """One item with its recipe and MIDI, for people to look at."""
    folder.mkdir(parents=True, exist_ok=True)
    write_item(item, folder)
    files.write_json(folder / "recipe.json", recipe.as_dict())
    with files.atomic(folder / "drums.mid") as beside:
        write_midi(recipe, beside)


def counts(config: RmodConfig) -> dict[str, int]:
    """Recipes in each table."""
    return {"train": config.train, "val": config.val, "test": config.test, "groove": config.groove.items}


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
    }
