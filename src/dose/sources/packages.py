"""Packages that hold sounds, of Debian and sample packs in git: which are known, and how to fetch them.

A Debian package is unpacked, not installed.
"""

import contextlib
import dataclasses
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from dose import files
from dose.errors import DoseError, MissingInputError
from dose.sources import sample_packs

VERSION_FILE = "VERSION"
POLL_SECONDS = 0.2  # between two reports of progress


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A package that an adapter can read. Sizes in MB."""

    name: str
    licence: str
    download: float
    unpacked: float
    contents: str


KNOWN = {
    p.name: p
    for p in (
        Package(
            name="hydrogen-drumkits",
            licence="per kit: GPL, CC-BY-SA-3.0-US, CC-BY-3.0",
            download=142.7,
            unpacked=220,
            contents="drum kits: acoustic, electronic",
        ),
        Package(
            name="hydrogen-data",
            licence="GPL-2+",
            download=6.8,
            unpacked=16,
            contents="drum kits GMRock and TR-808",
        ),
        Package(
            name="hydrogen-drumkits-effects",
            licence="CC-BY-3.0",
            download=141.4,
            unpacked=138,
            contents="295 guitar strums",
        ),
        Package(
            name="sonic-pi-samples",
            licence="CC0-1.0",
            download=21.9,
            unpacked=23,
            contents="drums, bass, guitar (all samples; the bundled clips are a part)",
        ),
        Package(
            name="lmms-common",
            licence="GPL-2+",
            download=8.3,
            unpacked=25,
            contents="drums, bass and guitar loops, 764 drum synthesiser presets",
        ),
        Package(
            name="fluid-soundfont-gm",
            licence="MIT",
            download=119.6,
            unpacked=142,
            contents="SoundFont: 31 drum kits, all instruments",
        ),
        Package(
            name="timgm6mb-soundfont",
            licence="GPL-2",
            download=5.4,
            unpacked=6,
            contents="SoundFont: 8 drum kits, all instruments",
        ),
        Package(
            name="avldrums.lv2-soundfont",
            licence="CC-BY-SA-3.0",
            download=24.7,
            unpacked=44,
            contents="SoundFont: two acoustic drum kits with velocity layers",
        ),
        *(
            Package(
                name=pack.name,
                licence=pack.licence,
                download=pack.download,
                unpacked=pack.unpacked,
                contents=pack.contents,
            )
            for pack in sample_packs.KNOWN.values()
        ),
    )
}

Progress = Callable[[str, float, float], None]  # package, bytes so far, total bytes


def version_of(archive: Path) -> str:
    """The version of an unpacked package, "" if it was unpacked by hand."""
    file = archive / VERSION_FILE
    return file.read_text().strip() if file.is_file() else ""


def present(archives: Path) -> dict[str, str]:
    """Name -> version of the packages that are unpacked below `archives`."""
    return {name: version_of(archives / name) for name in KNOWN if (archives / name).is_dir()}


def known(name: str) -> Package:
    """The package of that name. Raises DoseError, naming all known ones."""
    if name not in KNOWN:
        raise DoseError(f"No package {name} is known here; known are {', '.join(sorted(KNOWN))}.")
    return KNOWN[name]


def folder_of(name: str, archives: Path) -> Path:
    """Where a package is unpacked. Raises MissingInputError with the command that fetches it."""
    known(name)
    if not (archives / name).is_dir():
        raise MissingInputError(
            f"The package {name} is not in {archives}; run `dose sources fetch {name}` or remove it from "
            "params.yaml: sources.packages."
        )
    return archives / name


def fetch(name: str, archives: Path, progress: Progress, local: Path | None = None) -> Path:
    """Unpacks a package into `archives`/name, whole or not at all, and returns that folder.

    A file <name>_*.deb, or a clone in a folder <name>, of `local` (a .deb by default of `archives`) is used
    where there is one; else apt-get or git downloads it. Nothing is installed. Raises DoseError in one
    sentence.
    """
    known(name)
    target = archives / name
    if target.is_dir():
        return target
    archives.mkdir(parents=True, exist_ok=True)
    # Inside `archives`, so that the final rename stays on one file system.
    with tempfile.TemporaryDirectory(dir=archives, prefix=".fetch-") as scratch:
        if name in sample_packs.KNOWN:
            pack = sample_packs.KNOWN[name]
            clone = local / name if local and (local / name).is_dir() else None
            with files.atomic(target) as beside:
                beside.mkdir()
                with _watched(name, Path(scratch), pack.download * 1e6, progress):
                    sample_packs.fetch_into(pack, beside, Path(scratch), clone)
                (beside / VERSION_FILE).write_text(pack.commit + "\n")
            return target
        deb = _local(name, local or archives) or _download(name, Path(scratch), progress)
        version = _run("dpkg-deb", "--field", str(deb), "Version", what=f"{deb} cannot be read").strip()
        with files.atomic(target) as beside:
            _run("dpkg-deb", "--extract", str(deb), str(beside), what=f"{deb} cannot be unpacked")
            (beside / VERSION_FILE).write_text(version + "\n")
    return target


def _local(name: str, folder: Path) -> Path | None:
    found = sorted(folder.glob(f"{name}_*.deb"))
    return found[-1] if found else None


def _download(name: str, folder: Path, progress: Progress) -> Path:
    hint = (
        f"Download {name}_*.deb from a Debian mirror yourself, put it somewhere, and run `dose sources fetch "
        f"{name} --from FOLDER`"
    )
    if not shutil.which("apt-get"):
        raise DoseError(f"There is no apt-get on this machine to fetch {name} with. {hint}.")
    unknown = f"apt-get cannot fetch {name}: run `apt-get update` first, or {hint[0].lower()}{hint[1:]}"
    # The exact size for the progress report, without downloading.
    uris = _run("apt-get", "download", "--print-uris", name, what=unknown)
    size = int(found.group(1)) if (found := re.search(r"\.deb (\d+)", uris)) else KNOWN[name].download * 1e6
    with _watched(name, folder, size, progress):
        _run("apt-get", "download", name, what=unknown, folder=folder)
    deb = _local(name, folder)
    if not deb:
        raise DoseError(f"{unknown}.")
    return deb


@contextlib.contextmanager
def _watched(name: str, folder: Path, size: float, progress: Progress) -> Iterator[None]:
    """Reports the size of `folder`, polled, as progress of the download that runs inside."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(name, folder, size, progress, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()


def _watch(name: str, folder: Path, size: float, progress: Progress, done: threading.Event) -> None:
    """Reports the size of the files in `folder` as progress, until `done` is set."""
    while not done.wait(POLL_SECONDS):
        progress(name, sum(_sizes(folder)), size)
    progress(name, size, size)


def _sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            yield path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # renamed by apt in between
            yield 0


def _run(*command: str, what: str, folder: Path | None = None) -> str:
    if not shutil.which(command[0]):
        raise DoseError(f"{what}: this machine has no {command[0]} (it comes with Debian and its relatives).")
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    if run.returncode:
        # apt-get marks the error's cause with E:.
        errors = [line for line in run.stderr.strip().splitlines() if line.startswith("E:")]
        detail = f" ({errors[0].removeprefix('E: ')})" if errors else ""
        raise DoseError(f"{what}{detail}.")
    return run.stdout
