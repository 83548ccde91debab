"""FLAC (RFC 9639): finds the last frame, which states its own position."""

import dataclasses
import functools

from dose.containers.byte_reader import WINDOW, ByteReader, split
from dose.containers.container import Container

# "fLaC" and the header of STREAMINFO: block type 0, with flag 128 if it is the only metadata block, size 34.
_MARK = b"fLaC%c\0\0\x22"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _LastFrame:
    end: int  # samples per channel up to its end
    complete: bool


def flac(data: ByteReader, start: int) -> Container:
    """Compares the sample count of STREAMINFO with the position of the last frame."""
    info = data.at(start + 8, 34)
    if len(info) < 34 or data.at(start + 4, 1)[0] & 127:
        return Container()
    starts = _starts(data, start)
    if len(starts) > 1:
        return Container(parts=split(data, starts))
    total = int.from_bytes(info[13:18], "big") & 0xFFFFFFFFF  # 36 bits; 0 = unknown
    block = int.from_bytes(info[:2], "big")
    last = _last_frame(data, start, block) if block else None
    if last is None:
        return Container(examined=True, declared=total or None)
    # libsndfile stops at STREAMINFO's count, so one that is too small needs the other decoder.
    libsndfile = total == 0 or total >= last.end
    # A file that ends with a complete frame is not truncated, whatever its header declares.
    return Container(
        libsndfile=libsndfile,
        examined=True,
        frames=last.end if libsndfile else None,
        declared=last.end if last.complete else total,
        truncated=not last.complete and total == 0,
    )


def _starts(data: ByteReader, start: int) -> list[int]:
    """Where this file and those concatenated to it begin; metadata blocks (images, cues) are skipped."""
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


def _last_frame(data: ByteReader, start: int, block: int) -> _LastFrame | None:
    """The last frame of a FLAC file; None if the last WINDOW bytes hold none."""
    end = data.sound_end()
    tail = max(start + 42, end - WINDOW)
    window = data.at(tail, end - tail)
    at, first = window.rfind(b"\xff"), True
    while at >= 0:
        if (span := _frame_header(window[at : at + 16], block)) is not None:
            # A complete frame ends in its own CRC-16.
            if _crc(window[at:], 16, 0x8005) == 0:
                return _LastFrame(end=sum(span), complete=True)
            # Sync bytes also occur by chance inside a frame. Only if the header before fails too is the
            # file truncated.
            if not first:
                return _LastFrame(end=sum(span), complete=False)
            first = False
        at = window.rfind(b"\xff", 0, at)
    return None


def _frame_header(head: bytes, block: int) -> tuple[int, int] | None:
    """(first sample, samples) of a frame; None for what is no header. RFC 9639, section 9.1."""
    if len(head) < 6 or head[1] & 0xFE != 0xF8 or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    # The frame (or sample) number is coded as UTF-8 codes characters, in up to 7 bytes.
    lead = head[4]
    extra = 0 if lead < 0x80 else 8 - (lead ^ 0xFF).bit_length() - 1
    if extra < 0 or lead == 0xFF or (lead >= 0x80 and extra == 0):
        return None
    number = lead if extra == 0 else lead & ((1 << (6 - extra)) - 1)
    for byte in head[5 : 5 + extra]:
        number = number << 6 | byte & 63
    position = 5 + extra
    # Block size: codes 6 and 7 put it into one or two bytes here, the others stand for fixed sizes.
    code = head[2] >> 4
    if code in (6, 7):
        samples = int.from_bytes(head[position : position + code - 5], "big") + 1
        position += code - 5
    else:
        samples = 192 if code == 1 else 576 << (code - 2) if code < 6 else 256 << (code - 8)
    # Sample-rate codes 12 to 14 are followed by the rate itself.
    position += {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    if position >= len(head) or _crc(head[: position + 1], 8, 0x07) != 0:
        return None
    return (number if head[1] & 1 else number * block), samples


def _crc(body: bytes, bits: int, polynomial: int) -> int:
    """0 if the body ends in its own checksum."""
    mask, value = (1 << bits) - 1, 0
    table = _crc_table(bits, polynomial)
    for byte in body:
        value = (value << 8 & mask) ^ table[value >> (bits - 8) ^ byte]
    return value


@functools.cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    """The checksum of each single byte."""
    top, mask = 1 << (bits - 1), (1 << bits) - 1
    table = []
    for byte in range(256):
        entry = byte << (bits - 8)
        for _ in range(8):
            entry = (entry << 1 ^ polynomial if entry & top else entry << 1) & mask
        table.append(entry)
    return table
