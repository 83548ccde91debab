"""A kit's folder: it holds one kit, which is replaced as a whole; other files in it are never changed.

A kit's files are recognised by their content, not by their names: a user's own kick.wav may lie where a kit
would write one, and a hard link or a symbolic link may lead to a file elsewhere.
"""

import dataclasses
import re
import secrets
import shutil
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dose.errors import DoseError
from dose.files import printable
from dose.kits.groove import BAR, QUANTISED
from dose.transcription import midi

STAGING_PREFIX = ".dose-kit-"  # of the folder in which a kit is written before it is moved into place
_SOUND = re.compile(r"(kick|snare|hihat)(_\d\d_\d\.\d\d)?\.wav")
_HEAD_BYTES = 8192  # of a file, which hold its signature; kit names before it are at most 255 bytes
# Text near the beginning of each file that an exporter of this package writes; `_source` recognises WAVs.
_SIGNATURES = {
    ".sfz": b" by DOSE, models ",
    ".dspreset": b" by DOSE, models ",
    ".h2drumkit": b"<author>DOSE</author>",
    ".adg": b'Creator="DOSE"',
    ".sf2": b"ISFT\x06\0\0\0DOSE\0",
    ".xpm": b"<?xml version='1.0' encoding='UTF-8'?>\n<MPCVObject>\n  <Version>\n    <File_Version>2.1<",
    ".mid": midi.SIGNATURE.encode(),
    ".h2song": b"<author>DOSE</author>",
}


class Occupied(DoseError):
    """A folder into which no kit may be written, because files there would be lost."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class FolderContents:
    """The files of a folder into which a kit is to be written."""

    kit: tuple[Path, ...]  # the kit's WAVs and instruments, and staging folders of a killed process
    others: tuple[Path, ...]  # all other files
    sources: frozenset[str]  # the mixes that the tags of the kit's WAVs name
    names: frozenset[str]  # of the kit, by the file names of its instruments


def scan(folder: Path) -> FolderContents:
    """Classifies the files of `folder`; none if it does not exist. Raises OSError if it cannot be listed."""
    sounds, instruments, staging, others = list[Path](), list[Path](), list[Path](), list[Path]()
    sources: set[str] = set()
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        head = _head(path)
        if _SOUND.fullmatch(path.name) and (source := _source(head)) is not None:
            sounds.append(path)
            sources.add(source)
        elif _is_instrument(path.suffix, head):
            instruments.append(path)
        elif path.name.startswith(STAGING_PREFIX) and path.is_dir() and not path.is_symlink():
            staging.append(path)
        else:
            others.append(path)
    if not sounds:  # instruments without their WAVs are a user's collection, not a kit
        others, instruments = others + instruments, []
    return FolderContents(
        kit=(*sounds, *instruments, *staging),
        others=tuple(others),
        sources=frozenset(sources),
        names=_names(instruments),
    )


def check(folder: Path, names: Iterable[str] = (), inputs: Iterable[Path] = ()) -> FolderContents:
    """The contents of `folder`, if a kit with files called `names` may be written there.

    Raises Occupied where `folder` is a file, where it holds files of several kits (a collection that a user
    made), where a file that is not a kit's would be overwritten, or one of `inputs` replaced.
    """
    folder = _direct(folder)
    try:
        # The nearest existing ancestor must be a folder, or the kit's folder cannot be made.
        blocked = next((p for p in (folder, *folder.parents) if p.exists()), folder)
        if blocked.exists() and not blocked.is_dir():
            raise Occupied(f"{folder} cannot be written ({blocked} is a file); choose another.")
        if folder.is_symlink() and not folder.exists():
            raise Occupied(f"{folder} is a link that leads nowhere; choose another.")
        found = scan(folder)
    except OSError as e:
        raise Occupied(f"{folder} cannot be written ({e.strerror}); choose another.") from e
    for kits in (found.sources, found.names):
        if len(kits) > 1:
            listed = ", ".join(sorted(kits)[:3])
            raise Occupied(f"{folder} holds files of several kits ({listed}); choose another folder.")
    # Compared without case: on some file systems Kick.wav and kick.wav are the same file.
    taken = {_folded(path.name): path for path in found.others}
    for name in names:
        if path := taken.get(_folded(name)):
            raise Occupied(f"{path} would be overwritten, and DOSE did not write it; choose another folder.")
    for path in inputs:
        if any(_same(path, one) for one in found.kit):
            raise Occupied(f"{path} is an input and would be replaced; choose another folder.")
    return found


def put(folder: Path | str, contents: Mapping[str, bytes], inputs: Iterable[Path] = ()) -> list[Path]:
    """Writes `contents` (file name -> bytes) as the kit of `folder`, replacing the one that is there.

    A new folder appears complete. An existing one stays the same directory (it may be a mount or a shell's
    working directory): the new files are written to a staging folder inside it, then the old kit is deleted
    and the new files are moved into place, so that there are never two kits.
    Raises Occupied as `check` does, before anything is written, and OSError.
    """
    folder = _direct(Path(folder))
    found = check(folder, contents, inputs)
    new = not folder.exists()
    parent = folder.parent if new else folder  # on the same file system, so that renames are atomic
    parent.mkdir(parents=True, exist_ok=True)
    staging = parent / f"{STAGING_PREFIX}{secrets.token_hex(4)}"
    try:
        staging.mkdir()
        for name, body in contents.items():
            (staging / name).write_bytes(body)
        if new:
            staging.rename(folder)
        else:
            # The new kit is complete in the staging folder, so the old one can go.
            for path in found.kit:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            for name in contents:
                (staging / name).rename(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [folder / name for name in contents]


def is_free(folder: Path, source: str) -> bool:
    """Whether a kit of the mix `source` may be written to `folder`: it holds no other mix's kit."""
    if folder.exists() and not folder.is_dir():
        return False
    return scan(folder).sources <= {printable(source)}  # as `build` writes it into the WAVs


def _direct(folder: Path) -> Path:
    """The same folder without `..`: new/.. does not exist until `new` is made, and then leads elsewhere."""
    return folder.resolve() if ".." in folder.parts else folder


def _head(path: Path) -> bytes:
    """The first bytes of a regular file; empty for a link, a folder, or an unreadable file."""
    if path.is_symlink() or not path.is_file():
        return b""
    try:
        with open(path, "rb") as f:
            return f.read(_HEAD_BYTES)
    except OSError:
        return b""


def _source(head: bytes) -> str | None:
    """The mix named in the bext chunk of a kit's WAV; None for any other file. See `riff.wav`."""
    # Offsets in the file: 20 is the chunk's body, 276 Originator, 622 CodingHistory.
    if head[:4] != b"RIFF" or head[8:16] != b"WAVEbext" or head[276:308].rstrip(b"\0") != b"DOSE":
        return None
    # CodingHistory is the text after the fixed fields, up to the end of the chunk: "T=<source>\r\n".
    history = head[622 : 20 + int.from_bytes(head[16:20], "little")]
    return history.decode("utf-8", "replace").removeprefix("T=").rstrip("\r\n")


def _names(instruments: Sequence[Path]) -> frozenset[str]:
    """The kits that `instruments` are named after."""
    stems = {path.stem for path in instruments}
    names = set[str]()
    for path in instruments:
        # A kit may itself be called "x-bar": what follows the name is cut off only beside "x.mid".
        shorter = [path.stem.removesuffix(suffix) for suffix in (QUANTISED, BAR) if path.suffix == ".mid"]
        names.add(next((s for s in shorter if s != path.stem and s in stems), path.stem))
    return frozenset(names)


def _is_instrument(suffix: str, head: bytes) -> bool:
    if suffix in (".h2drumkit", ".adg"):
        try:
            head = zlib.decompressobj(31).decompress(head, _HEAD_BYTES)  # 31: a gzip header
        except zlib.error:
            return False
    return suffix in _SIGNATURES and _SIGNATURES[suffix] in head


def _same(a: Path, b: Path) -> bool:
    try:
        return a.samefile(b)
    except OSError:
        return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
