"""The state of `dose extract --watch`: which songs are done and where their kits are, kept over restarts."""

from pathlib import Path
from typing import Any

from dose import files
from dose.errors import DoseError

STATE_FILE = ".dose-watch.json"  # in the folder of the kits


class WatchState:
    """Song -> its kit's folder and the file's state (size, modification time), stored in `out`/STATE_FILE.

    A song is identified by its full path: x.wav and x.flac are two. A replaced file is a new song.
    """

    def __init__(self, out: Path) -> None:
        self.out, self._file = out, out / STATE_FILE
        self._songs: dict[str, dict[str, Any]] = {}
        if self._file.is_file():
            # A state file that cannot be read is an error: starting over would extract every song again.
            try:
                self._songs = dict(files.read_json(self._file)["songs"])
            except (DoseError, KeyError, TypeError, ValueError) as e:
                raise DoseError(
                    f"{self._file} does not say which songs are done; delete it to do all of them again."
                ) from e

    def is_done(self, song: Path) -> bool:
        """Whether this song, in its present state, has its kit here, or had no drum in it."""
        known = self._songs.get(_key(song))
        if known is None or known["state"] != state(song):
            return False
        # A kit whose folder was deleted is made again.
        return known["folder"] is None or (self.out / known["folder"]).is_dir()

    def folder(self, song: Path) -> str | None:
        """The name of the folder that the song's last kit is in; None if it has none."""
        known = self._songs.get(_key(song))
        return known["folder"] if known else None

    def folders(self) -> list[Path]:
        """The folders of all songs."""
        return [self.out / known["folder"] for known in self._songs.values() if known["folder"]]

    def note(self, song: Path, state: list[int], folder: str | None) -> None:
        """Records that the song was done in `state`; `folder` is None where it had no drum."""
        self._songs[_key(song)] = {"state": state, "folder": folder or self.folder(song)}
        files.write_json(self._file, {"songs": self._songs})


def state(song: Path) -> list[int]:
    """Size and modification time (ns), of which at least one changes when a file is replaced."""
    facts = song.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _key(song: Path) -> str:
    return str(song.resolve())
