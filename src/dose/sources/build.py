"""Takes from every source become one catalogue: read, cleaned, told apart, split, written."""

import csv
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from dose import audio, files
from dose.drums import SPLITS
from dose.errors import AudioError, DoseError
from dose.sources import duplicates, shipped, splits
from dose.sources.adapters import debian, soundfont
from dose.sources.adapters import folder as folders
from dose.sources.adapters.folder import Folder
from dose.sources.cleaning import Cleaned, Reject, clean
from dose.sources.item import SourceItem
from dose.sources.library import (
    CATALOGUE,
    CLASSES,
    CLIPS,
    Clip,
    SampleLibrary,
    quantise,
    sound_id,
    write_catalogue,
)
from dose.sources.synth import procedural, voice

REJECTS = "rejects.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Procedural:
    """Synthesised clips per drum, by split."""

    train: int
    val: int
    test: int

    def __post_init__(self) -> None:
        if min(self.train, self.val, self.test) < 0:
            raise ValueError("procedural counts cannot be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourcesConfig:
    """params.yaml: sources. The same values give the same clips on every machine."""

    seed: int
    bundled: bool
    procedural: Procedural
    packs: str
    packages: tuple[str, ...]
    soundfonts: tuple[str, ...]
    riffs_per_program: int
    sung_phrases: int
    folders: tuple[Folder, ...]
    loop_seconds: float
    duplicate_correlation: float
    max_reject_share: float

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError("seed cannot be negative")
        if not 4 <= self.loop_seconds <= 60:
            raise ValueError("loop_seconds must be 4 to 60: slices of 4 s are cut from loops")
        if not 0.5 <= self.duplicate_correlation <= 1:
            raise ValueError("duplicate_correlation must be 0.5 to 1")
        if not 0 <= self.max_reject_share <= 1:
            raise ValueError("max_reject_share must be 0 to 1")
        if self.riffs_per_program < 0 or self.sung_phrases < 0:
            raise ValueError("riffs_per_program and sung_phrases cannot be negative")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rejected:
    """A line of rejects.csv."""

    source: str
    package: str
    origin: str
    cls: str
    reason: str
    detail: str


@dataclasses.dataclass(kw_only=True)
class Accepted:
    """A take that became samples, int16 [N]."""

    take: SourceItem
    samples: np.ndarray
    lead_in_ms: float
    peak_db: float
    cluster: int = 0

    @property
    def split(self) -> str:
        return self.take.split or splits.of_group(self.take.group)


def takes(config: SourcesConfig) -> Iterator[SourceItem]:
    """All takes of all chosen sources, recordings first: of equal sounds the first is kept."""
    if config.bundled:
        yield from shipped.takes()
    for folder in config.folders:
        yield from folders.takes(folder)
    yield from debian.takes(config.packages, Path(config.packs), config.riffs_per_program)
    for name in config.soundfonts:
        yield from soundfont.takes(name, config.riffs_per_program)
    yield from voice.takes(config.sung_phrases)
    yield from procedural.takes(config.seed, dataclasses.asdict(config.procedural))


def build(
    config: SourcesConfig,
    out: Path | str,
    progress: Callable[[Iterable[SourceItem]], Iterable[SourceItem]] = iter,
) -> SampleLibrary:
    """Writes the catalogue to the folder `out`, whole or not at all, and opens it.

    `progress` wraps the takes as they are read. Raises DoseError when a class or split stays empty, or too
    many of one folder's files cannot be used.
    """
    everything = list(takes(config))
    rejected: list[Rejected] = []
    kept = _without_copies(_read(progress(everything), config, rejected), rejected)
    _check_rejects(everything, rejected, config.max_reject_share)
    _cluster(kept, config.duplicate_correlation)
    kept = _without_leaks(kept, rejected)
    clips = [_clip(k, kept_by_index) for k, kept_by_index in _with_leaders(kept)]
    splits.check(clips)
    with files.atomic(out) as beside:
        (beside / CLIPS).mkdir(parents=True)
        for clip, k in zip(clips, kept, strict=True):
            audio.write(beside / clip.file, k.samples)
        write_catalogue(clips, beside / CATALOGUE)
        _write_rejects(beside / REJECTS, rejected)
        files.write_manifest(beside)
    return SampleLibrary(out, clips)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Survey:
    """What a folder would bring: usable clips by class and split, and what cannot be used."""

    usable: dict[tuple[str, str], int]
    rejected: tuple[Rejected, ...]


def survey(folder: Folder, config: SourcesConfig) -> Survey:
    """Reads and cleans a folder as `build` would, writing nothing. Raises DoseError as `build` does."""
    everything = list(folders.takes(folder))
    rejected: list[Rejected] = []
    kept = _without_copies(_read(everything, config, rejected), rejected)
    _check_rejects(everything, rejected, config.max_reject_share)
    usable: dict[tuple[str, str], int] = {}
    for k in kept:
        usable[k.take.cls, k.split] = usable.get((k.take.cls, k.split), 0) + 1
    return Survey(usable=usable, rejected=tuple(rejected))


def _read(
    wanted: Iterable[SourceItem], config: SourcesConfig, rejected: list[Rejected]
) -> Iterator[Accepted]:
    for take in wanted:
        try:
            sound = take.load()
            if take.clean:
                cleaned = Cleaned(sound=sound, lead_in_ms=take.lead_in_ms, peak_db=take.peak_db)
            else:
                cleaned = clean(
                    sound, take.kind, take.origin or take.name, config.loop_seconds, synthetic=take.synthetic
                )
        except AudioError as e:
            rejected.append(_reject(take, e.reason if isinstance(e, Reject) else "unreadable", str(e)))
            continue
        yield Accepted(
            take=take,
            samples=quantise(cleaned.sound),
            lead_in_ms=cleaned.lead_in_ms,
            peak_db=cleaned.peak_db,
        )


def _without_copies(everything: Iterable[Accepted], rejected: list[Rejected]) -> list[Accepted]:
    """The first of each set of equal sounds."""
    first: dict[str, Accepted] = {}
    for k in everything:
        earlier = first.setdefault(sound_id(k.samples), k)
        if earlier is not k:
            rejected.append(_reject(k.take, "duplicate", f"The same samples as {earlier.take.name}."))
    return list(first.values())


def _cluster(kept: list[Accepted], threshold: float) -> None:
    """Sets each clip's cluster: the index of the first clip that it repeats."""
    for kind in ("oneshot", "loop"):
        members = [i for i, k in enumerate(kept) if k.take.kind == kind]
        leaders = duplicates.clusters([kept[i].samples for i in members], threshold)
        for i, leader in zip(members, leaders, strict=True):
            kept[i].cluster = members[leader]


def _without_leaks(kept: list[Accepted], rejected: list[Rejected]) -> list[Accepted]:
    """Where a cluster reaches into several splits, only its part in the last of them stays.

    Dropping from training keeps the test set what it was, and neither cluster nor group is divided.
    """
    last: dict[int, int] = {}
    for k in kept:
        last[k.cluster] = max(last.get(k.cluster, 0), SPLITS.index(k.split))
    stay = []
    for k in kept:
        if SPLITS.index(k.split) == last[k.cluster]:
            stay.append(k)
        else:
            where = SPLITS[last[k.cluster]]
            rejected.append(_reject(k.take, "duplicate", f"Nearly the same as a clip of the {where} split."))
    return stay


def _with_leaders(kept: list[Accepted]) -> Iterator[tuple[Accepted, str]]:
    """Each clip with the id of the first remaining clip of its cluster."""
    leaders: dict[int, str] = {}
    for k in kept:
        yield k, leaders.setdefault(k.cluster, sound_id(k.samples))


def _clip(k: Accepted, cluster: str) -> Clip:
    identity, take = sound_id(k.samples), k.take
    return Clip(
        id=identity,
        name=take.name,
        cls=take.cls,
        kind=take.kind,
        variant=take.variant,
        source=take.source,
        package=take.package,
        version=take.version,
        kit=take.kit,
        author=take.author,
        licence=take.licence,
        attribution=take.attribution,
        group=take.group,
        split=k.split,
        file=f"{CLIPS}/{identity}.flac",
        seconds=round(len(k.samples) / audio.RATE, 6),
        lead_in_ms=k.lead_in_ms,
        peak_db=k.peak_db,
        cluster=cluster,
    )


def _reject(take: SourceItem, reason: str, detail: str) -> Rejected:
    return Rejected(
        source=take.source,
        package=take.package,
        origin=take.origin or take.name,
        cls=take.cls,
        reason=reason,
        detail=detail,
    )


def _check_rejects(everything: list[SourceItem], rejected: list[Rejected], allowed: float) -> None:
    """Duplicates do not count: they say nothing against a folder's quality."""
    for package in sorted({t.package for t in everything if t.source == "folder"}):
        files_of = sum(t.package == package for t in everything if t.source == "folder")
        bad = [
            r for r in rejected if r.package == package and r.source == "folder" and r.reason != "duplicate"
        ]
        if len(bad) > allowed * files_of:
            raise DoseError(
                f"{len(bad)} of {files_of} files of {package} cannot be used ({count_reasons(bad)}), "
                f"for example: {bad[0].detail} Mend them, or raise params.yaml: sources.max_reject_share."
            )


def count_reasons(rejected: Iterable[Rejected]) -> str:
    """Such as "3 silent, 1 too short"."""
    reasons = [r.reason for r in rejected]
    return ", ".join(f"{reasons.count(r)} {r}" for r in sorted(set(reasons)))


def _write_rejects(path: Path, rejected: list[Rejected]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [field.name for field in dataclasses.fields(Rejected)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(r) for r in rejected)


def counts(library: SampleLibrary) -> dict[tuple[str, str], int]:
    """(class, split) -> number of clips."""
    return {(cls, split): len(library.select(cls, split)) for cls in CLASSES for split in SPLITS}
