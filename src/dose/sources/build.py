"""Builds the sample library: items of every source are read, cleaned, deduplicated, split and written."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dose import audio, files
from dose.drums import SPLITS
from dose.errors import AudioError
from dose.sources import duplicates, shipped, splits
from dose.sources.adapters import debian, soundfont
from dose.sources.adapters import folder as folders
from dose.sources.adapters.folder import Folder
from dose.sources.cleaning import Cleaned, Reject, clean
from dose.sources.config import SourcesConfig
from dose.sources.item import SourceItem
from dose.sources.library import (
    CLASSES,
    CLIPS,
    LIBRARY_INDEX,
    Clip,
    SampleLibrary,
    quantise,
    sound_id,
    write_library_index,
)
from dose.sources.rejects import REJECTS, Rejected, check_share, write_rejects
from dose.sources.synth import procedural, voice

# Fields that a clip takes over from its source item.
INHERITED = (
    "name", "cls", "kind", "variant", "source", "package", "version", "kit", "author", "licence",
    "attribution", "group",
)  # fmt: skip


@dataclasses.dataclass(kw_only=True)
class Accepted:
    """A source item that was read and cleaned."""

    item: SourceItem
    samples: np.ndarray  # int16 [N]
    lead_in_ms: float
    peak_db: float
    cluster: int = 0  # index of the first clip that this one nearly repeats

    @property
    def split(self) -> str:
        return split_of(self.item)


def split_of(item: SourceItem) -> str:
    """The split that the item's source asks for, or that of its group."""
    return item.split or splits.of_group(item.group)


def source_items(config: SourcesConfig) -> Iterator[SourceItem]:
    """All items of all chosen sources, recordings first: of equal sounds the first is used."""
    if config.bundled:
        yield from shipped.source_items()
    for folder in config.folders:
        yield from folders.source_items(folder)
    archives = Path(config.archives)
    yield from debian.source_items(config.packages, archives, config.riffs_per_program)
    for item in debian.source_items(config.validation_packages, archives, riffs_per_program=0):
        if split_of(item) == "val":
            yield item
    for name in config.soundfonts:
        yield from soundfont.source_items(name, config.riffs_per_program)
    yield from voice.source_items(config.sung_phrases)
    yield from procedural.source_items(config.seed, dataclasses.asdict(config.procedural))


def build(
    config: SourcesConfig,
    out: Path | str,
    progress: Callable[[Iterable[SourceItem]], Iterable[SourceItem]] = iter,
) -> SampleLibrary:
    """Writes the sample library to the folder `out`, whole or not at all, and opens it.

    `progress` wraps the source items as they are read. Raises DoseError when a class or split stays empty, or
    too many of one folder's files cannot be used.
    """
    items = list(source_items(config))
    rejected: list[Rejected] = []
    # 1. Read and clean each item; of items with equal samples the first stays.
    accepted = _without_copies(_read(progress(items), config, rejected), rejected)
    check_share(items, rejected, config.max_reject_share)
    # 2. Cluster near-duplicates, and leave none of them in two splits.
    _cluster(accepted, config.duplicate_correlation)
    accepted = _without_leaks(accepted, rejected)
    clips = _clips(accepted)
    splits.check(clips)
    # 3. Write sounds and index beside the target, then rename.
    with files.atomic(out) as beside:
        (beside / CLIPS).mkdir(parents=True)
        for clip, sound in zip(clips, accepted, strict=True):
            audio.write(beside / clip.file, sound.samples)
        write_library_index(clips, beside / LIBRARY_INDEX)
        write_rejects(beside / REJECTS, rejected)
        files.write_manifest(beside)
    return SampleLibrary(out, clips)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What a folder would add: usable clips by class and split, and what cannot be used."""

    usable: dict[tuple[str, str], int]
    rejected: tuple[Rejected, ...]


def survey(folder: Folder, config: SourcesConfig) -> Survey:
    """Reads and cleans a folder as `build` would, writing nothing. Raises DoseError as `build` does."""
    items = list(folders.source_items(folder))
    rejected: list[Rejected] = []
    accepted = _without_copies(_read(items, config, rejected), rejected)
    check_share(items, rejected, config.max_reject_share)
    usable: dict[tuple[str, str], int] = {}
    for sound in accepted:
        key = sound.item.cls, sound.split
        usable[key] = usable.get(key, 0) + 1
    return Survey(usable=usable, rejected=tuple(rejected))


def _read(items: Iterable[SourceItem], config: SourcesConfig, rejected: list[Rejected]) -> Iterator[Accepted]:
    for item in items:
        try:
            sound = item.load()
            if item.clean:
                cleaned = Cleaned(sound=sound, lead_in_ms=item.lead_in_ms, peak_db=item.peak_db)
            else:
                name = item.origin or item.name
                cleaned = clean(sound, item.kind, name, config.loop_seconds, synthetic=item.synthetic)
        except AudioError as e:
            reason = e.reason if isinstance(e, Reject) else "unreadable"
            rejected.append(Rejected.of(item, reason, str(e)))
            continue
        yield Accepted(
            item=item,
            samples=quantise(cleaned.sound),
            lead_in_ms=cleaned.lead_in_ms,
            peak_db=cleaned.peak_db,
        )


def _without_copies(accepted: Iterable[Accepted], rejected: list[Rejected]) -> list[Accepted]:
    """The first of each set of equal sounds."""
    first: dict[str, Accepted] = {}
    for sound in accepted:
        earlier = first.setdefault(sound_id(sound.samples), sound)
        if earlier is not sound:
            detail = f"The same samples as {earlier.item.name}."
            rejected.append(Rejected.of(sound.item, "duplicate", detail))
    return list(first.values())


def _cluster(accepted: Sequence[Accepted], threshold: float) -> None:
    """Sets each clip's cluster: the index of the first clip that it nearly repeats."""
    for kind in ("oneshot", "loop"):  # a loop is never compared with a one-shot
        members = [i for i, sound in enumerate(accepted) if sound.item.kind == kind]
        leaders = duplicates.clusters([accepted[i].samples for i in members], threshold)
        for i, leader in zip(members, leaders, strict=True):
            accepted[i].cluster = members[leader]


def _without_leaks(accepted: Sequence[Accepted], rejected: list[Rejected]) -> list[Accepted]:
    """Where a cluster reaches into several splits, only its part in the last of them stays.

    Dropping from training leaves the test set unchanged, and neither cluster nor group is divided.
    """
    last: dict[int, int] = {}
    for sound in accepted:
        last[sound.cluster] = max(last.get(sound.cluster, 0), SPLITS.index(sound.split))
    remaining = []
    for sound in accepted:
        split = SPLITS[last[sound.cluster]]
        if sound.split == split:
            remaining.append(sound)
        else:
            detail = f"Nearly the same as a clip of the {split} split."
            rejected.append(Rejected.of(sound.item, "duplicate", detail))
    return remaining


def _clips(accepted: Iterable[Accepted]) -> list[Clip]:
    """The library's entries; a cluster is named by the id of its first remaining clip."""
    leaders: dict[int, str] = {}
    clips = []
    for sound in accepted:
        clip_id = sound_id(sound.samples)
        inherited: dict[str, Any] = {name: getattr(sound.item, name) for name in INHERITED}
        clips.append(
            Clip(
                id=clip_id,
                split=sound.split,
                file=f"{CLIPS}/{clip_id}.flac",
                seconds=round(len(sound.samples) / audio.RATE, 6),
                lead_in_ms=sound.lead_in_ms,
                peak_db=sound.peak_db,
                cluster=leaders.setdefault(sound.cluster, clip_id),
                **inherited,
            )
        )
    return clips


def counts(library: SampleLibrary) -> dict[tuple[str, str], int]:
    """(class, split) -> number of clips."""
    return {(cls, split): len(library.select(cls, split)) for cls in CLASSES for split in SPLITS}
