"""Sonic Pi's samples: only those with a CC0 line of their own in the copyright file."""

import re
from collections.abc import Iterator
from pathlib import Path

from dose.errors import MissingInputError
from dose.sources.cleaning import read
from dose.sources.item import SourceItem
from dose.sources.library import kind_of

LICENCE = "CC0-1.0"
# By file name; files whose name matches no pattern are not used.
CLASSES = (
    (re.compile(r"bd_.*|drum_bass_.*|drum_heavy_kick|elec_(hollow|soft)_kick"), "kick", ""),
    (re.compile(r"sn_.*|drum_snare_.*|elec_((filt|hi|lo|mid)_)?snare"), "snare", ""),
    (re.compile(r"drum_cymbal_closed"), "hihat", "closed"),
    (re.compile(r"drum_cymbal_pedal"), "hihat", "pedal"),
    (re.compile(r"drum_cymbal_open"), "hihat", "open"),
    (re.compile(r"drum_tom_.*"), "tom", ""),
    (re.compile(r"drum_splash_.*"), "cymbal", "crash"),
    (re.compile(r"drum_cowbell|elec_(bell|cymbal|triangle|wood|tick)|perc_(bell|snap)\d?"), "percussion", ""),
    (re.compile(r"bass_(?!drop).*"), "bass", ""),
    (re.compile(r"guit_.*"), "guitar", ""),
    (re.compile(r"ambi_piano"), "piano", ""),
    (re.compile(r"ambi_choir"), "vocal", ""),
)


def source_items(root: Path, package: str, version: str) -> Iterator[SourceItem]:
    """`root` is the unpacked package."""
    authors = cc0(root)
    for path in sorted(root.rglob("samples/*.flac")):
        found = label(path.stem)
        if not found or path.name not in authors:
            continue
        cls, variant = found
        yield SourceItem(
            name=path.stem,
            cls=cls,
            variant=variant,
            load=lambda p=path, c=cls: read(p, kind_of(c)),  # type: ignore[misc]
            source="debian",
            group="sonic-pi",
            package=package,
            version=version,
            kit="sonic-pi",
            author=authors[path.name],
            licence=LICENCE,
            origin=f"{package}: {path.name}",
        )


def label(stem: str) -> tuple[str, str] | None:
    """(class, variant) by file name, None for any other class of sound."""
    for pattern, cls, variant in CLASSES:
        if pattern.fullmatch(stem):
            return cls, variant
    return None


def cc0(root: Path) -> dict[str, str]:
    """File name -> author, for every sample that the copyright file puts under CC0 by name."""
    found = sorted(root.rglob("doc/*/copyright"))
    if not found:
        raise MissingInputError(f"{root} lacks its copyright file; fetch the package again.")
    authors = {}
    # Debian's machine-readable copyright format: stanzas of "Key: value", divided by blank lines.
    for stanza in re.split(r"\n\s*\n", found[0].read_text(encoding="utf-8")):
        fields = dict(re.findall(r"^(Files|Copyright|License): *(.*)$", stanza, re.MULTILINE))
        name = fields.get("Files", "")
        if fields.get("License") == "CC0" and "/samples/" in name and "*" not in name:
            authors[Path(name).name] = re.sub(r"^\d{4}\s+|\s*<.*>", "", fields.get("Copyright", "unknown"))
    return authors
