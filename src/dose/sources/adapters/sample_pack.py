"""The sounds of a fetched sample pack (see sample_packs.py); all of them are for training."""

from collections.abc import Iterator
from pathlib import Path

from dose.sources import sample_packs
from dose.sources.cleaning import read
from dose.sources.item import SourceItem
from dose.sources.library import kind_of

SPLIT = "train"  # the validation and test kits are those of the Debian packages


def source_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """`root` is the fetched pack."""
    pack = sample_packs.KNOWN[package]
    paths = [p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()]
    for path, rule, kit in sample_packs.chosen(pack, paths):
        yield SourceItem(
            name=Path(path).stem,
            cls=rule.cls,
            variant=rule.variant,
            load=lambda p=root / path, c=rule.cls: read(p, kind_of(c)),  # type: ignore[misc]
            source="repository",
            group=f"{package}/{kit}",
            split=SPLIT,
            package=package,
            version=version,
            kit=f"{package}/{kit}" if kit != package else package,
            author=pack.author,
            licence=pack.licence,
            attribution=pack.attribution,
            origin=f"{package}: {path}",
        )
