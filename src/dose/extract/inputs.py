"""Which sound files a user means: files, folders, globs, and a folder that is watched."""

import glob
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dose.errors import AudioError

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aif", ".aiff", ".opus", ".w64", ".caf", ".au")


def expand(arguments: Sequence[str]) -> list[Path]:
    """Paths in the order given, each once: a folder stands for the sound files in it, a glob for its matches.

    A plain path is kept even when it does not exist, to be reported with the rest. Raises AudioError for a
    folder or a glob that gives nothing.
    """
    found: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if path.is_dir():
            matches = sounds_in(path)
            if not matches:
                raise AudioError(f"The folder {argument} holds no sound files ({', '.join(SUFFIXES)}).")
        elif not path.exists() and any(c in argument for c in "*?["):
            matches = sorted(Path(m) for m in glob.glob(argument, recursive=True) if Path(m).is_file())
            if not matches:
                raise AudioError(f"No file matches {argument}.")
        else:
            matches = [path]
        found += matches
    return list(dict.fromkeys(found))


def sounds_in(folder: Path) -> list[Path]:
    """The sound files directly in `folder`, by name; hidden ones are left out."""
    return sorted(
        p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES and p.name[0] != "."
    )


def folder_names(paths: Sequence[Path]) -> list[str]:
    """One folder name per path: its stem, numbered where two are alike."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f"{path.stem}_{number}", number + 1
        names.append(name)
    return names


def watch(folder: Path, poll: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[Path]:
    """Yields each sound file in `folder` once it has stopped growing, again when it is replaced; for ever.

    Raises AudioError when the folder is not there.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder} is not a folder that can be watched.")
    seen: dict[Path, tuple[int, int]] = {}
    given: dict[Path, tuple[int, int]] = {}
    while True:
        for path in sounds_in(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # it was moved away between listing and looking
            state = (status.st_size, status.st_mtime_ns)
            if seen.get(path) == state and given.get(path) != state and status.st_size:
                given[path] = state
                yield path
            seen[path] = state
        sleep(poll)
