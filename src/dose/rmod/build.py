"""The stage: tables of mix specifications, audio of val and test, each shard written once and checked.

A complete shard has a record of its files' hashes. A run that was killed, or that lost a worker, resumes from
the records; a shard whose files do not match its record is made again.
"""

import functools
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dose import files
from dose.cluster import map_shards
from dose.rmod import table
from dose.rmod.config import RmodConfig
from dose.rmod.dataset import REALISTIC, Export, counts, exports, pack_shard
from dose.rmod.realistic_items import realistic_id

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

# Fields of RmodConfig that change no item's bytes.
HARMLESS = ("workers", "shard", "pitch_cache_mb", "train", "val", "test", "realistic", "realistic_items")
# Modules whose code decides an item's bytes. paper_ranges is not among them: its values are in the config.
MAKERS = (
    "rng", "columns", "mix_spec", "patterns", "parameters", "draw", "draw_chain", "pitch", "mixer", "render",
    "effects/simd", "effects/eq", "effects/dynamics", "effects/sends", "effects/levels",
)  # fmt: skip


def data_id(config: RmodConfig, library: "SampleLibrary") -> str:
    """16 hex digits that change whenever an item may: with the ranges, seed, sample library or MAKERS."""
    values = {k: v for k, v in vars(config).items() if k not in HARMLESS}
    return files.hash_json({"config": values, "library": library.id, "code": code_version()})


@functools.cache
def code_version() -> str:
    """16 hex digits of the modules that decide an item's bytes."""
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f"{m}.py").read_bytes() for m in MAKERS)).hexdigest()[:16]


def build(config: RmodConfig, library: "SampleLibrary", root: Path) -> None:
    """Writes the missing parts of data/rmod. Raises what drawing and rendering raise."""
    _clear_stale(config, library, root)
    # 1. Divide tables and audio into shards: (folder, what, first, last).
    tables: list[tuple] = []
    sounds: list[tuple] = []
    for split, count in counts(config).items():
        # Realistic mixes have no table: drawing one anew costs nothing beside rendering it.
        if split != REALISTIC:
            tables += [(table.FOLDER, split, first, last) for first, last in _spans(count, table.PART)]
        for export in exports(config, root)[split]:
            spans = _spans(count, config.shard)
            sounds += [(export.out.name, export, first, last) for first, last in spans]
    _run(
        # 2. Tables. Starting worker processes takes longer than drawing a few parts.
        functools.partial(_table_shard, config, library, root),
        tables,
        root,
        config.workers if len(tables) > 8 else 1,
        "mix specifications",
    )
    _run(functools.partial(_audio_shard, config, library, root), sounds, root, config.workers, "rendering")


def _spans(count: int, size: int) -> list[tuple[int, int]]:
    return [(start, min(start + size, count)) for start in range(0, count, size)]


def _clear_stale(config: RmodConfig, library: "SampleLibrary", root: Path) -> None:
    """Removes data of other params, another library or other code, and half-written files of a killed run."""
    # The counts and the shard size are part of the key: they decide which files there are.
    key = files.hash_json(
        {
            "id": data_id(config, library),
            "realistic": realistic_id(config.realistic, library),
            "counts": counts(config),
            "shard": config.shard,
        }
    )
    state = root / "build.json"
    if root.is_dir() and not (state.is_file() and files.read_json(state).get("key") == key):
        shutil.rmtree(root)
    root.mkdir(parents=True, exist_ok=True)
    for partial in [p for p in root.rglob(".*") if p.is_file()]:
        partial.unlink()
    (root / files.MANIFEST).unlink(missing_ok=True)
    files.write_json(state, {"key": key, "data_id": data_id(config, library), "library": library.id})


def _run(job: Callable, shards: list, root: Path, workers: int, describe: str) -> None:
    """Runs the shards that are missing or damaged."""
    todo = [shard for shard in shards if not _complete(root, _record(root, shard))]
    if todo:
        for _ in map_shards(job, todo, workers=min(workers, len(todo)), describe=describe):
            pass


def _record(root: Path, shard: tuple) -> Path:
    name = shard[1] if isinstance(shard[1], str) else shard[0]
    return root / "shards" / str(shard[0]) / f"{name}-{shard[-2]:09d}.json"


def _complete(root: Path, record: Path) -> bool:
    if not record.is_file():
        return False
    hashes = files.read_json(record)
    return all((root / n).is_file() and files.sha256(root / n) == digest for n, digest in hashes.items())


def _write_record(root: Path, shard: tuple, paths: list[Path]) -> None:
    hashes = {p.relative_to(root).as_posix(): files.sha256(p) for p in sorted(paths)}
    files.write_json(_record(root, shard), hashes)


def _table_shard(
    config: RmodConfig, library: "SampleLibrary", root: Path, shard: tuple[str, str, int, int]
) -> None:
    _, split, start, stop = shard
    path = table.part_path(root, split, start)
    table.write_part(config, library, split, start, stop, path)
    _write_record(root, shard, [path])


def _audio_shard(
    config: RmodConfig, library: "SampleLibrary", root: Path, shard: tuple[str, Export, int, int]
) -> None:
    _, export, start, stop = shard
    _write_record(root, shard, [pack_shard(config, library, export, start, stop)])


def summary(config: RmodConfig, library: "SampleLibrary") -> dict[str, Any]:
    """The fields that identify the data, for the data card."""
    return {
        "data_id": data_id(config, library),
        "library": library.id,
        "code": code_version(),
        "seed": config.seed,
        "items": counts(config),
        "groove": "Groove MIDI Dataset" if config.groove.folder else "groove-like, not GMD",
    }
