"""Debian packages as bundles of sounds: which are known, and how to have them without installing."""

from pathlib import Path

VERSION_FILE = "VERSION"


def version_of(pack: Path) -> str:
    """The version of an unpacked package, "" if it was unpacked by hand."""
    file = pack / VERSION_FILE
    return file.read_text().strip() if file.is_file() else ""
