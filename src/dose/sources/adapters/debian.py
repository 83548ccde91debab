"""Fetched packages, of Debian and in git: which adapter reads which."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dose.errors import IntegrityError
from dose.sources import packages, sample_packs
from dose.sources.adapters import hydrogen, lmms, sample_pack, sonicpi, soundfont, strums
from dose.sources.item import SourceItem


class Adapter(Protocol):
    def __call__(self, root: Path, package: str, version: str) -> Iterator[SourceItem]: ...


def source_items(names: tuple[str, ...], archives: Path, riffs_per_program: int) -> Iterator[SourceItem]:
    """The source items of the named packages, in that order; riffs only from the SoundFonts among them.

    Raises MissingInputError for a package that is not there, IntegrityError for one without a sound.
    """
    for name in names:
        root = packages.folder_of(name, archives)
        # An empty package is damaged or half unpacked; a silent shortage would change the data.
        empty = True
        for item in _adapter(name, riffs_per_program)(root, name, packages.version_of(root)):
            empty = False
            yield item
        if empty:
            raise IntegrityError(
                f"{root} holds none of the sounds of {name}; delete that folder and run "
                f"`dose sources fetch {name}`."
            )


def _adapter(name: str, riffs_per_program: int) -> Adapter:
    if name in ("hydrogen-drumkits", "hydrogen-data"):
        return hydrogen.source_items
    if name in sample_packs.KNOWN:
        return sample_pack.source_items
    others: dict[str, Adapter] = {
        "hydrogen-drumkits-effects": strums.source_items,
        "sonic-pi-samples": sonicpi.source_items,
        "lmms-common": lmms.source_items,
        "avldrums.lv2-soundfont": soundfont.avl_items,
    }
    # All others are General MIDI SoundFonts.
    return others.get(name) or functools.partial(soundfont.package_items, riffs_per_program=riffs_per_program)
