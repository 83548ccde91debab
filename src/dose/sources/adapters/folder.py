"""A user's own sounds: folders named after the classes, or a table.

my/sounds/kick/kit-a/boom.wav       class, then kit (optional), then the file
my/sounds/hihat/open/...            a folder called open or closed names the variant
my/sounds/clips.csv                 file,class and optionally variant,kit,author,licence,split
"""

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import yaml

from dose.drums import SPLITS
from dose.errors import DoseError, MissingInputError
from dose.files import atomic
from dose.sources.cleaning import read
from dose.sources.item import SourceItem
from dose.sources.library import CLASSES, kind_of

SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".w64", ".caf", ".au"}
VARIANTS = ("closed", "open", "pedal")
ALIASES = {
    "kicks": "kick", "bassdrum": "kick", "bd": "kick", "snares": "snare", "sd": "snare", "sn": "snare",
    "hat": "hihat", "hats": "hihat", "hi-hat": "hihat", "hihats": "hihat", "hh": "hihat",
    "basses": "bass", "pianos": "piano", "keys": "piano", "guitars": "guitar", "gtr": "guitar",
    "claps": "clap", "handclap": "clap", "toms": "tom", "cymbals": "cymbal", "perc": "percussion",
    "vocals": "vocal", "voice": "vocal", "vox": "vocal",
}  # fmt: skip
TABLE = "clips.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """One entry of params.yaml: sources.folders."""

    path: str
    licence: str  # as the data card should name it
    author: str
    split: Literal["auto", "train", "val", "test"] = "auto"  # auto: by kit

    @property
    def name(self) -> str:
        return Path(self.path).name


def enter(folder: Folder, params: Path) -> None:
    """Adds the folder to params.yaml: sources.folders, without touching any other line or comment.

    Raises DoseError when it is there already, or the file's layout cannot be extended.
    """
    text = params.read_text(encoding="utf-8")
    present = yaml.safe_load(text)["sources"]["folders"] or []
    if any(Path(entry["path"]).resolve() == Path(folder.path).resolve() for entry in present):
        raise DoseError(f"{folder.path} is in {params} already (sources.folders).")
    entry = yaml.safe_dump(
        dataclasses.asdict(folder), default_flow_style=True, sort_keys=False, width=1 << 20
    )
    after = _with_entry(text, entry.strip())
    # The edited text is parsed again: a layout that the edit does not understand is an error, not a loss.
    if yaml.safe_load(after)["sources"]["folders"] != [*present, dataclasses.asdict(folder)]:
        raise DoseError(f"{params} cannot be extended here; add to sources.folders by hand: {entry.strip()}.")
    with atomic(params) as beside:
        beside.write_text(after, encoding="utf-8")


def _with_entry(text: str, entry: str) -> str:
    """`text` with the entry at the end of the list under `sources: folders:`, on one line or in dashes."""
    lines = text.splitlines(keepends=True)
    section = next((i for i, line in enumerate(lines) if line.startswith("sources:")), len(lines))
    for at in range(section + 1, len(lines)):
        key, found, rest = lines[at].partition("folders:")
        if not found or key.strip():
            continue
        value, comment_mark, comment = rest.rstrip("\n").partition(" #")
        if value.strip().startswith("["):
            inside = value.strip()[1:].rpartition("]")[0]
            listed = f"[{inside}, {entry}]" if inside else f"[{entry}]"
            lines[at] = f"{key}folders: {listed}{comment_mark}{comment}\n"
        else:
            end = at + 1
            while end < len(lines) and lines[end].startswith((key + " ", key + "-")):
                end += 1
            indent = lines[at + 1].partition("-")[0] if end > at + 1 else key + "  "
            lines.insert(end, f"{indent}- {entry}\n")
        break
    return "".join(lines)


def source_items(folder: Folder) -> Iterator[SourceItem]:
    """Every sound file below the folder, in the order of its path. Raises DoseError where there is none."""
    root = Path(folder.path)
    if not root.is_dir():
        raise MissingInputError(f"The folder {root} of params.yaml: sources.folders does not exist.")
    found = list(_from_table(folder, root / TABLE) if (root / TABLE).is_file() else _from_tree(folder, root))
    if not found:
        raise DoseError(
            f"{root} holds no sounds in folders named {', '.join(CLASSES)}, and no {TABLE}; arrange it so or "
            "remove it from params.yaml: sources.folders."
        )
    yield from found


def without_class(folder: Folder) -> list[str]:
    """A sentence for each place whose sounds are left out, because its name is no class."""
    root = Path(folder.path)
    if (root / TABLE).is_file():
        return []
    sounds = Counter(
        p.relative_to(root).parts[0] if p.parent != root else ""
        for p in root.rglob("*")
        if p.suffix.lower() in SUFFIXES and p.is_file()
    )
    left_out = {top: n for top, n in sorted(sounds.items()) if not top or class_of(top) not in CLASSES}
    return [
        f"{root / top} is left out with its {n} {'sound' if n == 1 else 'sounds'}: a folder must be named "
        f"after one of {', '.join(CLASSES)}."
        for top, n in left_out.items()
    ]


def class_of(name: str) -> str:
    """The class that a folder or table names, such as hihat for HH; the name itself where it is none."""
    name = name.strip().lower()
    return ALIASES.get(name, name)


def _from_tree(folder: Folder, root: Path) -> Iterator[SourceItem]:
    for top in sorted(p for p in root.iterdir() if p.is_dir()):
        cls = class_of(top.name)
        if cls not in CLASSES:
            continue
        for path in sorted(p for p in top.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()):
            # Folders between class and file: a variant by its name, all others are the kit.
            parts = path.relative_to(top).parts[:-1]
            variant = next((p.lower() for p in parts if p.lower() in VARIANTS), "")
            kit = "/".join(p for p in parts if p.lower() not in VARIANTS)
            yield _item(folder, path, cls, variant=variant, kit=kit)


def _from_table(folder: Folder, table: Path) -> Iterator[SourceItem]:
    with open(table, newline="", encoding="utf-8-sig") as f:
        reader = csv.DictReader(f)
        if not {"file", "class"} <= set(reader.fieldnames or ()):
            raise DoseError(f"{table} needs the columns file and class (first line of the table).")
        for number, row in enumerate(reader, start=2):
            cls = class_of(row["class"] or "")
            split = (row.get("split") or "").strip()
            if cls not in CLASSES:
                raise DoseError(
                    f"{table}, line {number}: class {row['class']!r} is none of {', '.join(CLASSES)}."
                )
            if split and split not in SPLITS:
                raise DoseError(f"{table}, line {number}: split {split!r} is none of {', '.join(SPLITS)}.")
            extra = {k: (row.get(k) or "").strip() for k in ("variant", "kit", "author", "licence")}
            yield _item(folder, table.parent / row["file"].strip(), cls, split=split, **extra)


def _item(
    folder: Folder, path: Path, cls: str, *, split: str = "", kit: str = "", **extra: str
) -> SourceItem:
    forced = "" if folder.split == "auto" else folder.split
    split = split or forced
    group = f"{folder.name}/{kit}" if kit else folder.name
    return SourceItem(
        name=path.stem,
        cls=cls,
        load=lambda: read(path, kind_of(cls)),
        source="folder",
        # A split given by the user makes a group of its own: a user may divide a kit, the hash may not.
        group=f"{group}@{split}" if split else group,
        split=split,
        variant=extra.get("variant", ""),
        package=folder.name,
        kit=kit or folder.name,
        author=extra.get("author") or folder.author,
        licence=extra.get("licence") or folder.licence,
        origin=str(path),
    )
