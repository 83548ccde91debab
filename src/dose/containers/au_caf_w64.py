"""AU, CAF and W64: which share of the declared sound the file holds."""

import struct

from dose.containers.byte_reader import ByteReader, spliced
from dose.containers.chunks import UNKNOWN
from dose.containers.container import Container


def au(data: ByteReader) -> Container:
    """An AU file whose size is 0 or FFFFFFFF (never filled in) is read to the end of the file."""
    offset, declared = struct.unpack(">II", data.at(4, 8).ljust(8, b"\0"))
    present = data.size - offset
    if offset < 24 or present <= 0:
        return Container()
    if declared == 0:
        # libsndfile accepts FFFFFFFF as "unknown", but takes 0 literally.
        header = data.at(0, 8) + b"\xff" * 4 + data.at(12, offset - 12)
        return Container(repaired=spliced(header, data, [(offset, present)]))
    return _with_fraction(present, declared)


def caf(data: ByteReader) -> Container:
    """Core Audio Format: chunks of a name, a size of 8 bytes, and a body."""
    position, compressed = 8, False
    while len(head := data.at(position, 12)) == 12:
        name, size = struct.unpack(">4sq", head)
        if name == b"desc":
            compressed = data.at(position + 20, 4) != b"lpcm"  # then a packet table counts its frames
        if name == b"data" and not compressed:
            return _with_fraction(data.size - position - 12, size)
        if size < 0:
            break
        position += 12 + size
    return Container()


def w64(data: ByteReader) -> Container:
    """Sony Wave64: chunks of a GUID of 16 bytes and a size of 8 bytes, aligned to 8."""
    position = 40
    while len(head := data.at(position, 24)) == 24:
        size = int.from_bytes(head[16:], "little")
        if head[:4] == b"data":
            return _with_fraction(data.size - position, size)
        if size < 24:
            break
        position += size + -size % 8
    return Container()


def _with_fraction(present: int, declared: int) -> Container:
    return Container(fraction=present / declared if 0 < present < declared < UNKNOWN else 1.0)
