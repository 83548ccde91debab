"""WAV and AIFF: frames present against frames declared, and a repaired header where the file's is wrong."""

import struct

from dose.containers.byte_reader import ByteReader, spliced, split
from dose.containers.chunks import SAMPLE_CHUNKS, UNKNOWN, Chunk, Order, walk
from dose.containers.container import Container

# Format codes of WAV whose frames have `align` bytes: PCM, float, A-law, mu-law, extensible.
_FIXED_SIZE_CODES = (1, 3, 6, 7, 0xFFFE)
_MPEG_CODES = (0x50, 0x55)  # layer II, layer III


def riff(data: ByteReader, start: int) -> Container:
    """WAV. Sample data of several `data` chunks is joined; a concatenation of other formats is split."""
    found, starts = walk(data, start, "<", b"fmt ", b"data")
    formats = [data.at(c.start, min(c.size, 64)) for c in found if c.name == b"fmt " and c.size >= 16]
    sounds = [c for c in found if c.name == b"data"]
    if not formats or not sounds:
        return Container()
    code, channels = struct.unpack("<HH", formats[0][:4])
    align, bits = struct.unpack("<HH", formats[0][12:16])
    fixed = code in _FIXED_SIZE_CODES and align > 0 and align == channels * -(-bits // 8)
    if len(sounds) > 1 and not (fixed and all(one == formats[0] for one in formats)):
        return Container(parts=split(data, starts)) if len(starts) > 1 else Container()

    # Frames present and declared; a frame that is cut in the middle is dropped.
    ranges = [(c.start, c.size - c.size % align if fixed else c.size) for c in sounds]
    size = sum(length for _, length in ranges)
    frames = size // align if fixed else None
    declared = sum(c.declared for c in sounds) // align if fixed and sounds[-1].declared < UNKNOWN else frames
    mpeg = code in _MPEG_CODES  # FFmpeg counts these frames, as it reads to the end

    # A regular file goes to the decoder as it stands.
    first, names = sounds[0], [c.name for c in found]
    if _is_regular(start, found) and len(sounds) == 1 and names.index(b"fmt ") < names.index(b"data"):
        if mpeg or not fixed:
            truncated = not mpeg and first.size < first.declared < UNKNOWN
            return Container(libsndfile=not mpeg, fraction=first.size / first.declared if truncated else 1.0)
        return Container(examined=True, frames=frames, declared=declared if first.declared else frames)

    # Any other gets a header of `fmt ` and `data` (and `fact`, the sample count of compressed formats).
    fact = next((data.at(c.start, min(c.size, 4)) for c in found if c.name == b"fact"), b"")
    head = _chunk(b"fmt ", formats[0], "<")
    head += _chunk(b"fact", fact, "<") if len(fact) == 4 and not fixed else b""
    length = min(size, 0xFFFFFFFF - len(head) - 12)
    header = b"RIFF" + struct.pack("<I", len(head) + 12 + length) + b"WAVE" + head
    header += b"data" + struct.pack("<I", length)
    repaired = spliced(header, data, ranges)
    if mpeg or not fixed:
        return Container(libsndfile=not mpeg, repaired=repaired)
    return Container(
        examined=True, repaired=repaired, frames=frames, declared=max(declared or 0, frames or 0) or None
    )


def aiff(data: ByteReader, start: int) -> Container:
    """AIFF and uncompressed AIFC."""
    found, starts = walk(data, start, ">", b"COMM", b"SSND")
    common = [data.at(c.start, min(c.size, 512)) for c in found if c.name == b"COMM" and c.size >= 18]
    sounds = [c for c in found if c.name == b"SSND" and c.size >= 8]
    if not common or not sounds:
        return Container()
    if len(sounds) > 1 and len(starts) > 1:
        return Container(parts=split(data, starts))
    channels, frames_declared, bits = struct.unpack(">HIH", common[0][:8])
    compressed = data.at(start + 8, 4) == b"AIFC" and common[0][18:22] not in (b"NONE", b"sowt", b"twos")
    align = channels * -(-bits // 8)
    if compressed or not align or len(sounds) > 1:
        return Container()

    # SSND begins with an offset and a block size of four bytes each.
    offset = struct.unpack(">I", data.at(sounds[0].start, 4))[0]
    offset = offset if offset < sounds[0].size else 0
    frames = max(0, sounds[0].size - 8 - offset) // align
    declared = frames_declared if frames_declared < UNKNOWN // align else frames
    names = [c.name for c in found]
    if (
        _is_regular(start, found)
        and names.index(b"COMM") < names.index(b"SSND")
        and frames_declared == frames
    ):
        return Container(examined=True, frames=frames, declared=max(declared, frames))

    # Otherwise a header with the counted frames: COMM, then SSND with offset 0.
    size = frames * align
    head = _chunk(b"COMM", common[0][:2] + struct.pack(">I", frames) + common[0][6:], ">")
    head += b"SSND" + struct.pack(">III", size + 8, 0, 0)
    header = b"FORM" + struct.pack(">I", 4 + len(head) + size) + data.at(start + 8, 4) + head
    repaired = spliced(header, data, [(sounds[0].start + 8 + offset, size)])
    return Container(examined=True, repaired=repaired, frames=frames, declared=max(declared, frames))


def _is_regular(start: int, found: list[Chunk]) -> bool:
    """Whether the chunks follow each other as the format has them, so that any reader finds the sound."""
    position = start + 12
    for chunk in found:
        if chunk.start != position + 8 or (chunk.declared != chunk.size and chunk.name not in SAMPLE_CHUNKS):
            return False
        if chunk.name in SAMPLE_CHUNKS and (
            chunk.size > chunk.declared or chunk.declared >= UNKNOWN > chunk.size
        ):
            return False
        position = chunk.start + chunk.size + chunk.size % 2
    return start == 0


def _chunk(name: bytes, body: bytes, order: Order) -> bytes:
    return name + struct.pack(order + "I", len(body)) + body + b"\0" * (len(body) % 2)
