"""A kit's folder: it holds one kit, which is replaced whole, and nothing else in it is ever touched.

What is a kit's file is decided by what stands in it, not by its name: a user's own kick.wav may lie where a
kit would put one, and a hard link or a symbolic link may lead to a file elsewhere.
"""

import dataclasses
import re
import secrets
import shutil
import unicodedata
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from dose.errors import DoseError
from dose.files import printable

STAGE = ".dose-kit-"  # begins the name of the folder in which a kit waits until it is whole
_SOUND = re.compile(r"(kick|snare|hihat)(_\d\d_\d\.\d\d)?\.wav")
_HEAD = 8192  # bytes of a file in which its maker stands; names are at most 255 bytes long
# How the writers of this package begin each file; the WAVs are looked into by `_source`.
_SIGNS = {
    ".sfz": b" by DOSE, models ",
    ".dspreset": b" by DOSE, models ",
    ".h2drumkit": b"<author>DOSE</author>",
    ".adg": b'Creator="DOSE"',
    ".sf2": b"ISFT\x06\0\0\0DOSE\0",
    ".xpm": b"<?xml version='1.0' encoding='UTF-8'?>\n<MPCVObject>\n  <Version>\n    <File_Version>2.1<",
}


class Occupied(DoseError):
    """A place where no kit may be written."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What lies in a folder that is to hold a kit."""

    kit: tuple[Path, ...]  # the kit's sounds and instruments, and what a killed process left of one
    others: tuple[Path, ...]  # all else
    sources: frozenset[str]  # the mixes that the kit's sounds say they were taken from
    names: frozenset[str]  # of the kit, as its instruments' files are called


def look(folder: Path) -> Found:
    """Sorts what is in `folder`; nothing where there is none. Raises OSError where it cannot be listed."""
    sounds, instruments, left, others = list[Path](), list[Path](), list[Path](), list[Path]()
    sources: set[str] = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        head = _head(path)
        if _SOUND.fullmatch(path.name) and (source := _source(head)) is not None:
            sounds.append(path)
            sources.add(source)
        elif _is_instrument(path.suffix, head):
            instruments.append(path)
        elif path.name.startswith(STAGE) and path.is_dir() and not path.is_symlink():
            left.append(path)
        else:
            others.append(path)
    if not sounds:  # instruments alone were put here by somebody, who may collect them
        others, instruments = others + instruments, []
    return Found(
        kit=(*sounds, *instruments, *left),
        others=tuple(others),
        sources=frozenset(sources),
        names=frozenset(path.stem for path in instruments),
    )


def check(folder: Path, names: Iterable[str] = (), inputs: Iterable[Path] = ()) -> Found:
    """What lies in `folder`, if a kit with files called `names` may be put there.

    Raises Occupied where the place is no folder, where it holds several kits' files (a choice that somebody
    made), where a file that is no kit's would be overwritten, or one of `inputs` replaced.
    """
    folder = _direct(folder)
    try:
        blocked = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        if blocked.exists() and not blocked.is_dir():
            raise Occupied(f"{folder} cannot be written ({blocked} is a file); choose another.")
        if folder.is_symlink() and not folder.exists():
            raise Occupied(f"{folder} is a link that leads nowhere; choose another.")
        found = look(folder)
    except OSError as e:
        raise Occupied(f"{folder} cannot be written ({e.strerror}); choose another.") from e
    for several in (found.sources, found.names):
        if len(several) > 1:
            told = ", ".join(sorted(several)[:3])
            raise Occupied(f"{folder} holds files of several kits ({told}); choose another folder.")
    # Compared without case: where the file system ignores it, Kick.wav is kick.wav.
    taken = {_folded(path.name): path for path in found.others}
    for name in names:
        if path := taken.get(_folded(name)):
            raise Occupied(f"{path} would be overwritten, and DOSE did not write it; choose another folder.")
    for path in inputs:
        if any(_same(path, one) for one in found.kit):
            raise Occupied(f"{path} is an input and would be replaced; choose another folder.")
    return found


def put(folder: Path | str, contents: Mapping[str, bytes], inputs: Iterable[Path] = ()) -> list[Path]:
    """Makes `contents` (file name -> bytes) the kit of `folder`, in place of the one that was there.

    A new folder appears whole. An existing one stays the same folder (it may be a mount, or where somebody's
    shell is): the new files are written inside, then the old kit goes and the new one is moved in, so that
    there are never two. Raises Occupied as `check` does, before anything is written, and OSError.
    """
    folder = _direct(Path(folder))
    found = check(folder, contents, inputs)
    new = not folder.exists()
    home = folder.parent if new else folder
    home.mkdir(parents=True, exist_ok=True)
    stage = home / f"{STAGE}{secrets.token_hex(4)}"
    try:
        stage.mkdir()
        for name, body in contents.items():
            (stage / name).write_bytes(body)
        if new:
            stage.rename(folder)
        else:
            for path in found.kit:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name in contents:
                (stage / name).rename(folder / name)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return [folder / name for name in contents]


def is_free(folder: Path, source: str) -> bool:
    """Whether `folder` may take a kit from the mix `source`: it is not there, or holds no other mix's kit."""
    if folder.exists() and not folder.is_dir():
        return False
    return look(folder).sources <= {printable(source)}  # as `build` writes it into the WAVs


def _direct(folder: Path) -> Path:
    """The same folder without `..`: new/.. is not there until `new` is made, and then leads elsewhere."""
    return folder.resolve() if ".." in folder.parts else folder


def _head(path: Path) -> bytes:
    """The first bytes of a plain file; none of a link, a folder, or what cannot be read."""
    if path.is_symlink() or not path.is_file():
        return b""
    try:
        with open(path, "rb") as f:
            return f.read(_HEAD)
    except OSError:
        return b""


def _source(head: bytes) -> str | None:
    """The mix that a WAV of ours was taken from; None for anybody else's WAV. See `riff.wav`."""
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEbext" or head[276:308].rstrip(b"\0") != b"DOSE":
        return None
    history = head[622 : 20 + int.from_bytes(head[16:20], "little")]
    return history.decode("utf-8", "replace").removeprefix("T=").rstrip("\r\n")


def _is_instrument(suffix: str, head: bytes) -> bool:
    if suffix in (".h2drumkit", ".adg"):
        try:
            head = zlib.decompressobj(31).decompress(head, _HEAD)  # 31: a gzip header
        except zlib.error:
            return False
    return suffix in _SIGNS and _SIGNS[suffix] in head


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
