"""AU, CAF and W64: how much of the sound that their headers promise is there."""

import struct

from dose.containers.chunks import UNKNOWN
from dose.containers.source import Bytes, Container, spliced


def au(data: Bytes) -> Container:
    """An AU whose size was never filled in, with 0 as with FFFFFFFF, goes to the end of the file."""
    offset, claimed = struct.unpack(">II", data.at(4, 8).ljust(8, b"\0"))
    there = data.size - offset
    if offset < 24 or there <= 0:
        return Container()
    if claimed == 0:
        header = data.at(0, 8) + b"\xff" * 4 + data.at(12, offset - 12)
        return Container(view=spliced(header, data, [(offset, there)]))
    return _share(there, claimed)


def caf(data: Bytes) -> Container:
    position, coded = 8, False
    while len(head := data.at(position, 12)) == 12:
        name, size = struct.unpack(">4sq", head)
        if name == b"desc":
            coded = data.at(position + 20, 4) != b"lpcm"  # then a table counts its frames
        if name == b"data" and not coded:
            return _share(data.size - position - 12, size)
        if size < 0:
            break
        position += 12 + size
    return Container()


def w64(data: Bytes) -> Container:
    position = 40
    while len(head := data.at(position, 24)) == 24:
        size = int.from_bytes(head[16:], "little")
        if head[:4] == b"data":
            return _share(data.size - position, size)
        if size < 24:
            break
        position += size + -size % 8
    return Container()


def _share(there: int, claimed: int) -> Container:
    return Container(share=there / claimed if 0 < there < claimed < UNKNOWN else 1.0)
