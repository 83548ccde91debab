"""Random access to a file's bytes, and files assembled from ranges of another."""

import io
import struct
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WINDOW = 1 << 18  # bytes of a file held in memory at once


class ByteReader:
    """A file's bytes by position, read through one window of WINDOW bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.size = file.seek(0, io.SEEK_END)
        self._start, self._window = 0, b""

    def at(self, position: int, count: int) -> bytes:
        """Up to `count` bytes from `position`; fewer at the end."""
        if position >= self.size:  # a declared size may point behind the end of the file
            return b""
        if not self._start <= position <= position + count <= self._start + len(self._window):
            self.file.seek(position)
            self._start, self._window = position, self.file.read(max(count, WINDOW))
        offset = position - self._start
        return self._window[offset : offset + count]

    def find(self, pattern: bytes, start: int) -> int:
        """The first position of `pattern` at or after `start`; -1 if there is none."""
        while start < self.size:
            window = self.at(start, WINDOW)
            offset = window.find(pattern)
            if offset >= 0:
                return start + offset
            if len(window) < WINDOW:
                return -1
            # Windows overlap by one byte less than the pattern, so that none falls between two of them.
            start += len(window) - len(pattern) + 1
        return -1

    def skip_id3(self, position: int) -> int:
        """The position behind the ID3v2 tag at `position`, if there is one."""
        head = self.at(position, 10)
        if head[:3] != b"ID3" or len(head) < 10:
            return position
        # Flag 16: a footer of 10 bytes repeats the header (ID3v2.4, section 3.4).
        return min(self.size, position + 10 + _synchsafe(head[6:]) + (10 if head[5] & 16 else 0))

    def skip_zeros(self, position: int) -> int:
        """The first byte at or after `position` that is not zero."""
        while (window := self.at(position, WINDOW)) and not (rest := window.lstrip(b"\0")):
            position += len(window)
        return position + len(window) - len(rest) if window else position

    def sound_end(self) -> int:
        """Where the sound file ends, before ID3v1, Lyrics3 and APE tags."""
        end, previous = self.size, -1
        while end != previous:  # the tags come in any order
            previous = end
            tail = self.at(max(0, end - 160), 160)[: end - max(0, end - 160)]
            if tail[-128:-125] == b"TAG":
                end -= 128
            elif tail[-32:-24] == b"APETAGEX":
                # The footer's size includes the footer and excludes the header of 32 bytes (flag bit 31).
                size, flags = struct.unpack("<I4xI", tail[-20:-8])
                end -= min(end, size + (32 if flags >> 31 else 0))
            elif tail[-9:] == b"LYRICS200" and tail[-15:-9].isdigit():
                end -= min(end, int(tail[-15:-9]) + 15)
        return end


class TruncatedReader(ByteReader):
    """The same bytes as if the file ended at `size`."""

    def __init__(self, data: ByteReader, size: int) -> None:
        self._whole, self.size = data, size

    def at(self, position: int, count: int) -> bytes:
        return self._whole.at(position, max(0, min(count, self.size - position)))


class _SplicedFile(io.RawIOBase):
    """A read-only file made of a header and ranges (start, length) of another file."""

    def __init__(self, header: bytes, file: BinaryIO, ranges: list[tuple[int, int]]) -> None:
        self._header, self._file, self._ranges = header, file, ranges
        self._size = len(header) + sum(length for _, length in ranges)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        # In a damaged file libsndfile seeks to places before the start, and relies on the position returned.
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        wanted, filled = memoryview(buffer), 0
        while filled < len(wanted) and (part := self._part(len(wanted) - filled)):
            wanted[filled : filled + len(part)] = part
            filled += len(part)
            self._position += len(part)
        return filled

    def _part(self, limit: int) -> bytes:
        """Up to `limit` bytes from the current position, within one range."""
        offset = self._position
        if offset < len(self._header):
            return self._header[offset : offset + limit]
        offset -= len(self._header)
        for start, length in self._ranges:
            if offset < length:
                self._file.seek(start + offset)
                return self._file.read(min(limit, length - offset))
            offset -= length
        return b""


def spliced(header: bytes, data: ByteReader, ranges: list[tuple[int, int]]) -> BinaryIO:
    """A header and ranges (start, length) of a file, as one file."""
    return cast(BinaryIO, _SplicedFile(header, data.file, ranges))


def split(data: ByteReader, starts: list[int]) -> tuple[BinaryIO, ...]:
    """The files that begin at `starts`; the last one ends with the file."""
    ends = [*starts[1:], data.size]
    return tuple(spliced(b"", data, [(a, b - a)]) for a, b in zip(starts, ends, strict=True))


def _synchsafe(four: bytes) -> int:
    """The value of an ID3 size: four bytes of seven bits each."""
    return four[0] << 21 | four[1] << 14 | four[2] << 7 | four[3]
