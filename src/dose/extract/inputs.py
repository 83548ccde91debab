"""Resolves the inputs of `dose extract`: files, folders, globs, standard input, and a watched folder."""

import glob
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dose.errors import AudioError

# Containers that libsndfile or FFmpeg decodes; of films, their sound.
SUFFIXES = (
    *(".wav", ".wave", ".bwf", ".rf64", ".w64", ".flac", ".ogg", ".oga", ".ogx", ".opus", ".spx", ".mp3"),
    *(".mp2", ".mpa", ".mpga", ".aif", ".aiff", ".aifc", ".aac", ".adts", ".m4a", ".m4b", ".m4r", ".mp4"),
    *(".m4v", ".mov", ".qt", ".3gp", ".3g2", ".caf", ".au", ".snd", ".wma", ".asf", ".wmv", ".ac3"),
    *(".eac3", ".ec3", ".dts", ".mka", ".mkv", ".webm", ".weba", ".wv", ".ape", ".tta", ".tak", ".mpc"),
    *(".amr", ".avi", ".flv", ".ts", ".m2ts", ".mpg", ".mpeg", ".voc", ".rm", ".ra"),
)
STDIN = "-"
STDIN_NAME = "standard input"


def expand(arguments: Sequence[str]) -> list[Path]:
    """Paths in the order given, each once: folders and globs are replaced by the sound files in them.

    A plain path is kept even when it does not exist, to be reported with other failures. Raises AudioError
    for an empty argument, and for a folder or glob without a sound file.
    """
    found: list[Path] = []
    for argument in arguments:
        path = Path(argument)
        if not argument:
            raise AudioError(
                "A mix is named by an empty text (is a variable not set?); name a file or folder."
            )
        if path.is_dir():
            matches = sounds_in(path)
            if not matches:
                raise AudioError(f"The folder {argument} holds no sound files ({', '.join(SUFFIXES)}).")
        elif any(c in argument for c in "*?[") and not path.exists():
            matches = sorted(Path(m) for m in glob.glob(argument, recursive=True) if Path(m).is_file())
            if not matches:
                raise AudioError(f"No file matches {argument}.")
        else:
            matches = [path]
        found += matches
    return list(dict.fromkeys(found))


def sounds_in(folder: Path) -> list[Path]:
    """The sound files directly in `folder`, by name; hidden ones are left out.

    Raises AudioError for a folder that cannot be read.
    """
    return [p for p in _entries(folder) if p.is_file() and p.suffix.lower() in SUFFIXES]


def skipped_in(folder: Path) -> list[Path]:
    """The other entries of `folder`: files of other kinds, and subfolders, which are not searched."""
    return [p for p in _entries(folder) if not p.is_file() or p.suffix.lower() not in SUFFIXES]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.name[0] != ".")
    except OSError as e:
        raise AudioError(f"The folder {folder} cannot be read ({e.strerror}).") from e


def folder_names(
    paths: Sequence[Path], is_free: Callable[[str, Path], bool] = lambda name, path: True
) -> list[str]:
    """One folder name per path: its stem, numbered where it is taken by another or not `is_free`.

    Names that differ only in case count as the same, as on file systems that ignore case.
    """
    names: list[str] = []
    used: set[str] = set()
    for path in paths:
        # x, x_2, x_3 ...
        stem = folder_name(path.stem)
        name, number = stem, 2
        while _folded(name) in used or not is_free(name, path):
            name, number = f"{stem}_{number}", number + 1
        names.append(name)
        used.add(_folded(name))
    return names


def folder_name(stem: str) -> str:
    """A mix's name as a folder name: no dots or blanks at its ends, no control characters."""
    plain = "".join("_" if unicodedata.category(c) == "Cc" else c for c in stem)
    return plain.strip(" .") or "mix"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def spool_stdin(folder: Path) -> Path:
    """Standard input as a file in `folder`, because decoders seek. AudioError where nothing is piped in."""
    if sys.stdin is None or sys.stdin.isatty():
        raise AudioError("Nothing is piped into standard input; name a file, or pipe a sound into `-`.")
    path = folder / STDIN_NAME
    with open(path, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
    return path


def watch(folder: Path, poll: float = 1.0, sleep: Callable[[float], None] = time.sleep) -> Iterator[Path]:
    """Yields each sound file in `folder` once it has stopped growing, and again when it is replaced; endless.

    Raises AudioError when the folder does not exist.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder} is not a folder that can be watched.")
    seen: dict[Path, tuple[int, int]] = {}
    yielded: dict[Path, tuple[int, int]] = {}
    while True:
        for path in sounds_in(folder):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # moved away since the folder was listed
            state = (status.st_size, status.st_mtime_ns)
            # Unchanged since the last poll, and not empty: the writer has finished.
            if seen.get(path) == state and yielded.get(path) != state and status.st_size:
                yielded[path] = state
                yield path
            seen[path] = state
        sleep(poll)
