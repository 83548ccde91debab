"""FLAC: where the last frame says that it stands."""

import dataclasses

from dose.containers.source import WINDOW, Bytes, Container, split


def flac(data: Bytes, start: int) -> Container:
    info = data.at(start + 8, 34)
    if len(info) < 34 or data.at(start + 4, 1)[0] & 127:
        return Container()
    starts = _starts(data, start)
    if len(starts) > 1:
        return Container(parts=split(data, starts))
    total = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF
    block = int.from_bytes(info[:2], "big")
    last = _last_flac_frame(data, start, block) if block else None
    if last is None:
        return Container(counted=True, promised=total or None)
    plain = total == 0 or total >= last.end
    # A file that ends with a whole frame is not cut, whatever its header promises.
    return Container(
        plain=plain,
        counted=True,
        frames=last.end if plain else None,
        promised=last.end if last.whole else total,
        torn=not last.whole and total == 0,
    )


def _starts(data: Bytes, start: int) -> list[int]:
    """Where this file and those joined to it begin; what lies in metadata (a picture, a cue) is no file."""
    starts = [start]
    while True:
        position = starts[-1] + 4
        while len(head := data.at(position, 4)) == 4:
            position += 4 + int.from_bytes(head[1:], "big")
            if head[0] & 128:
                break
        following = min((at for one in (0, 128) if (at := data.find(_MARK % one, position)) >= 0), default=-1)
        if following < 0:
            return starts
        starts.append(following)


_MARK = b"fLaC%c\0\0\x22"  # and the head of STREAMINFO, the only block of metadata (128) or not


@dataclasses.dataclass(frozen=True, kw_only=True)
class _FlacFrame:
    end: int  # samples up to here
    whole: bool


def _last_flac_frame(data: Bytes, start: int, block: int) -> _FlacFrame | None:
    """The last frame of a FLAC file; None where none is found in its last part."""
    end = data.sound_end()
    tail = max(start + 42, end - WINDOW)
    held = data.at(tail, end - tail)
    at, first = held.rfind(b"\xff"), True
    while at >= 0:
        if (span := _flac_header(held[at : at + 16], block)) is not None:
            if _crc(held[at:], 16, 0x8005) == 0:
                return _FlacFrame(end=sum(span), whole=True)
            if not first:  # a later header has no whole frame behind it: the file is cut there
                return _FlacFrame(end=sum(span), whole=False)
            first = False
        at = held.rfind(b"\xff", 0, at)
    return None


def _flac_header(head: bytes, block: int) -> tuple[int, int] | None:
    """(number of its first sample, samples) of a frame; None for what is no header. RFC 9639, section 9.1."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    lead = head[4]
    extra = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    if extra < 0 or lead == 0xFF or (lead >= 0x80 and extra == 0):
        return None
    number = lead if extra == 0 else lead & ((1 << (6 - extra)) - 1)
    for byte in head[5 : 5 + extra]:
        number = number << 6 | byte & 63
    position = 5 + extra
    code = head[2] >> 4
    if code in (6, 7):
        samples = int.from_bytes(head[position : position + code - 5], "big") + 1
        position += code - 5
    else:
        samples = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    position += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if position >= len(head) or _crc(head[: position + 1], 8, 0x07) != 0:
        return None
    return (number if head[1] & 1 else number * block), samples


def _crc(body: bytes, bits: int, polynomial: int) -> int:
    """0 where the body ends in its own checksum."""
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    table = _TABLES.get(polynomial)
    if table is None:
        table = []
        for byte in range(256):
            entry = byte << (bits - 8)
            for _ in range(8):
                entry = (entry << 1 ^ polynomial if entry & top else entry << 1) & mask
            table.append(entry)
        _TABLES[polynomial] = table
    for byte in body:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value


_TABLES: dict[int, list[int]] = {}
