"""A file's bytes by position, and what was found out about it."""

import dataclasses
import io
import struct
from typing import BinaryIO, cast

WINDOW = 1 << 18  # bytes held of a file while it is walked through


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """How a file is to be decoded."""

    plain: bool = True  # libsndfile decodes all of it, as it stands or through `view`
    counted: bool = False  # what follows is known; else libsndfile is believed
    view: BinaryIO | None = None  # the same sound behind a header that is right, for the decoder
    mpeg: bool = False  # libmpg123 decodes it
    frames: int | None = None  # counted; None: not known without decoding
    promised: int | None = None  # by a header that can be believed; more than there are where a file is cut
    share: float = 1.0  # of the sound that its header promises, so much is there; where frames are not known
    parts: tuple[BinaryIO, ...] = ()  # files joined one behind the other, each to be decoded by itself
    torn: bool = False  # it ends in the middle, and does not say how long it was


class Bytes:
    """A file's bytes by position, read through one window."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        self._start, self._held = 0, b""

    def at(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position`; fewer at the end."""
        if position >= self.size:  # a size may name places that no file has
            return b""
        if not self._start <= position <= position + count <= self._start + len(self._held):
            self.file.seek(position)
            self._start, self._held = position, self.file.read(max(count, WINDOW))
        offset = position - self._start
        return self._held[offset : offset + count]

    def find(self, what: bytes, start: int) -> int:
        """Where `what` comes first at or after `start`; -1 where it does not."""
        while start < self.size:
            part = self.at(start, WINDOW)
            found = part.find(what)
            if found >= 0:
                return start + found
            if len(part) < WINDOW:
                return -1
            start += len(part) - len(what) + 1
        return -1

    def skip_id3(self, position: int) -> int:
        """Behind the ID3v2 tag at `position`, if there is one."""
        head = self.at(position, 10)
        if head[:3] != b"ID3" or len(head) < 10:
            return position
        return min(self.size, position + 10 + _synchsafe(head[6:]) + (10 if head[5] & 16 else 0))

    def skip_zeros(self, position: int) -> int:
        """The first byte at or after `position` that is not zero."""
        while (part := self.at(position, WINDOW)) and not (rest := part.lstrip(b"\0")):
            position += len(part)
        return position + len(part) - len(rest) if part else position

    def sound_end(self) -> int:
        """Where the sound file ends, before ID3v1, Lyrics3 and APE tags."""
        end, before = self.size, -1
        while end != before:
            before = end
            tail = self.at(max(0, end - 160), 160)[: end - max(0, end - 160)]
            if tail[-128:-125] == b"TAG":
                end -= 128
            elif tail[-32:-24] == b"APETAGEX":
                size, flags = struct.unpack("<I4xI", tail[-20:-8])
                end -= min(end, size + (32 if flags >> 31 else 0))
            elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
                end -= min(end, int(tail[-15:-9]) + 15)
        return end


class Cut(Bytes):
    """The same bytes as if the file ended at `size`."""

    def __init__(self, data: Bytes, size: int) -> None:
        self._all, self.size = data, size

    def at(self, position: int, count: int) -> bytes:
        return self._all.at(position, max(0, min(count, self.size - position)))


class _Spliced(io.RawIOBase):
    """A file made of a header and stretches (start, length) of another file, to read and to seek in."""

    def __init__(self, header: bytes, file: BinaryIO, stretches: list[tuple[int, int]]) -> None:
        self._header, self._file, self._stretches = header, file, stretches
        self._size = len(header) + sum(length for _, length in stretches)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # In a damaged file libsndfile asks for places before the start, and wants to be told where it is.
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        wanted, filled = memoryview(buffer), 0
        while filled < len(wanted) and (part := self._part(len(wanted) - filled)):
            wanted[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
        return filled

    def _part(self, most: int) -> bytes:
        """Up to `most` bytes from here on, within one stretch."""
        at = self._position
        if at < len(self._header):
            return self._header[at : at + most]
        at -= len(self._header)
        for start, length in self._stretches:
            if at < length:
                self._file.seek(start + at)
                return self._file.read(min(most, length - at))
            at -= length
        return b""


def spliced(header: bytes, data: Bytes, stretches: list[tuple[int, int]]) -> BinaryIO:
    """A header and stretches (start, length) of a file, as one file."""
    return cast(BinaryIO, _Spliced(header, data.file, stretches))


def split(data: Bytes, starts: list[int]) -> tuple[BinaryIO, ...]:
    """The files that begin at `starts`, the last of which goes to the end."""
    ends = [*starts[1:], data.size]
    return tuple(spliced(b"", data, [(a, b - a)]) for a, b in zip(starts, ends, strict=True))


def _synchsafe(four: bytes) -> int:
    """ID3's numbers of seven bits a byte."""
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]
