"""Chunks of RIFF (WAV) and IFF (AIFF) files, whose declared sizes are often wrong."""

import dataclasses
import struct
from collections.abc import Iterator
from typing import Literal

from dose.containers.byte_reader import WINDOW, ByteReader, TruncatedReader

Order = Literal["<", ">"]  # byte order as in `struct`: "<" RIFF, ">" IFF
# Programs that cannot seek back write FFFFFFFF, 7FFFFFFF or a size near it: sizes from here on are unknown.
UNKNOWN = 0x7FFF0000
SAMPLE_CHUNKS = (b"data", b"SSND")
FORMS = (b"RIFF", b"RF64", b"BW64", b"FORM")

_KNOWN_CHUNKS = frozenset(
    b"fmt |data|LIST|INFO|bext|fact|cue |smpl|inst|id3 |ID3 |iXML|JUNK|junk|PAD |FLLR|ds64|PEAK|acid|axml|"
    b"chna|cart|levl|plst|minf|elm1|regn|umid|DGDA|LGWV|_PMX|DISP|afsp|strc|RIFF|RF64|BW64|"
    b"COMM|SSND|FVER|MARK|NAME|AUTH|(c) |ANNO|APPL|COMT|MIDI|AESD|CHAN|FORM".split(b"|")
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    """One chunk: a name of four bytes, a size, and a body."""

    name: bytes
    start: int  # of its body
    size: int  # bytes present
    declared: int  # bytes by its header


def walk(data: ByteReader, start: int, order: Order, *required: bytes) -> tuple[list[Chunk], list[int]]:
    """The chunks, and where each concatenated file begins.

    Where a chunk of `required` is not met, a size before it is wrong; then they are searched by name.
    """
    every = list(chunks(data, start, order))
    found = [chunk for chunk in every if chunk.name not in FORMS]
    if not set(required) <= {chunk.name for chunk in found}:
        found = _by_name(data, start + 12, order, *required) or found
    return found, [chunk.start - 8 for chunk in every if chunk.name in FORMS]


def chunks(data: ByteReader, start: int, order: Order) -> Iterator[Chunk]:
    """The chunks of a RIFF or IFF file, and of all files concatenated to it, with their form headers.

    Impossible sizes are repaired: sample data of unknown size ends with the file, and where a pad byte is
    missing, the next chunk begins one byte earlier.
    """
    position, long_size, form_end = start, None, 0
    while len(head := data.at(position, 8)) == 8:
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        body = position + 8
        # 1. A form header (RIFF, size, WAVE): its body is the chunks that follow.
        if name in FORMS:
            yield Chunk(name=name, start=body, size=4, declared=size)
            position, form_end = body + 4, body + size
            continue
        # 2. No chunk: tags or zeros between concatenated files.
        if not _is_name(name) or (name not in _KNOWN_CHUNKS and body + size > data.size):
            position = _next_form(data, position, order)
            continue
        # 3. RF64: the data chunk's size of 64 bits stands in ds64 (EBU Tech 3306).
        if name == b"ds64":
            long_size = struct.unpack("<Q", data.at(body + 8, 8).ljust(8, b"\0"))[0]
        if name == b"data" and size == 0xFFFFFFFF and long_size:
            size = long_size
        declared = size
        # 4. Sample data whose size is a placeholder, or that ends within the form where no chunk can follow.
        if name in SAMPLE_CHUNKS:
            placeholder = size >= UNKNOWN > data.size - body or (size == 0 and not _begins_chunk(data, body))
            end = body + size
            if placeholder or (end < form_end <= data.size and not _may_follow(data, end)):
                size = _sample_bytes(data, body, order)
        size = min(size, data.size - body)
        yield Chunk(name=name, start=body, size=size, declared=declared)
        # 5. Bodies of odd size have a pad byte, which some programs forget.
        padded = body + size + size % 2
        unpadded = size % 2 and not _begins_chunk(data, padded) and _begins_chunk(data, body + size)
        position = body + size if unpadded else padded


def _begins_chunk(data: ByteReader, position: int) -> bool:
    """Whether a known chunk begins here, or the file ends."""
    return position >= data.size or data.at(position, 4) in _KNOWN_CHUNKS


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _may_follow(data: ByteReader, position: int) -> bool:
    """Whether a chunk's name, behind a pad byte or not, or only zeros can stand here."""
    return data.skip_zeros(position) > data.size - 8 or any(
        _is_name(data.at(at, 4)) for at in (position, position + 1)
    )


def _next_form(data: ByteReader, position: int, order: Order) -> int:
    """Where the next concatenated file begins; the end of the data if there is none."""
    magic, kinds = (b"RIFF", (b"WAVE",)) if order == "<" else (b"FORM", (b"AIFF", b"AIFC"))
    at = data.find(magic, position)
    while at >= 0 and data.at(at + 8, 4) not in kinds:
        at = data.find(magic, at + 1)
    return at if at >= 0 else data.size


def _by_name(data: ByteReader, start: int, order: Order, *names: bytes) -> list[Chunk]:
    """The chunks with these names, in this order, found by searching; [] unless all are there."""
    found, position = list[Chunk](), start
    for name in names:
        at = data.find(name, position)
        chunk = next(chunks(data, at, order), None) if at >= 0 else None
        if chunk is None:
            return []
        found.append(chunk)
        position = at + 8 + (chunk.size if name not in SAMPLE_CHUNKS else 0)
    return found


def _sample_bytes(data: ByteReader, body: int, order: Order) -> int:
    """Size of sample data of unknown size: up to the end of the file, less the chunks and tags behind it."""
    end = data.sound_end()
    tail = max(body, end - WINDOW)
    window = data.at(tail, end - tail)
    for name in _KNOWN_CHUNKS - {b"data", b"SSND", b"fmt "}:
        at = window.find(name)
        while at >= 0:
            # A chunk whose size reaches exactly to the end is one; other places of its name are samples.
            size = int.from_bytes(window[at + 4 : at + 8], "little" if order == "<" else "big")
            if len(window) - at - 8 in (size, size + size % 2):
                return _sample_bytes(TruncatedReader(data, tail + at), body, order)
            at = window.find(name, at + 1)
    return end - body
