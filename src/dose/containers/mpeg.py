"""MPEG audio, layers I to III (MP3): counts the frames one by one (ISO/IEC 11172-3, 13818-3)."""

import dataclasses

from dose.containers.byte_reader import ByteReader
from dose.containers.container import Container

# kbit/s by (version 1 or 2, layer field) and bit-rate index. The layer field counts down: 3 is layer I.
_KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    """One MPEG frame, by its header of four bytes."""

    size: int  # bytes, header included
    samples: int  # per channel
    stream: tuple[int, int, int, bool]  # version, layer, rate, mono: constant within a file


def frame_at(head: bytes) -> Frame | None:
    """The frame that begins with `head`; None where no frame header stands."""
    # 11 bits of sync, then version (2 bits), layer (2), protection (1).
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    # Reserved values, and free format (bits 0), whose frames have no known size.
    if version == 1 or layer == 0 or bits in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return None
    # Version 2 halves the sample rates of version 1, version 2.5 quarters them.
    hz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbits, padding = _KBITS[(3 if version == 3 else 2, layer)][bits - 1], head[2] >> 1 & 1
    samples = 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152
    # Layer I counts in slots of four bytes.
    size = (12000 * kbits // hz + padding) * 4 if layer == 3 else samples // 8 * 1000 * kbits // hz + padding
    return Frame(size=size, samples=samples, stream=(version, layer, hz, head[3] >> 6 == 3))


def mpeg(data: ByteReader, start: int) -> Container:
    """Counts the frames of an MP3 (or of layer I, II).

    libsndfile stops where the Xing header's count ends, or where its guess from the first frame's bit rate
    ends; libmpg123 inside it prints warnings about a file that is not clean.
    """
    first = frame_at(data.at(start, 4))
    if first is None:
        return Container(libsndfile=False)
    position, end, count = start, data.sound_end(), 0
    while (frame := frame_at(data.at(position, 4))) is not None and frame.stream == first.stream:
        if position + frame.size > end:
            break
        position, count = position + frame.size, count + 1
    cut = frame is not None and frame.stream == first.stream
    declared, has_header = _declared_frames(data, start, first)
    count -= has_header
    # libsndfile is trusted where the count is right. Some encoders count the header's own frame too. What is
    # trimmed off the ends (encoder delay) libsndfile knows, so its sample count is used then.
    right = declared is None or declared in (count, count + 1)
    known_end = position == end or cut  # else bytes of no known kind follow
    return Container(
        libsndfile=count > 1 and known_end and right,
        examined=True,
        mpeg=True,
        frames=count * first.samples if declared is None else None,
        declared=declared * first.samples if declared is not None and cut and declared > count else None,
    )


def _declared_frames(data: ByteReader, start: int, first: Frame) -> tuple[int | None, bool]:
    """The frame count of a Xing header, and whether the first frame is a header and holds no sound."""
    version, _, _, mono = first.stream
    # The Xing header stands behind the side information, whose size depends on version and channels.
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    head = data.at(start, side + 20)
    for at in (4 + side, 6 + side):  # two bytes later where the frame has a checksum
        if head[at : at + 4] in (b"Xing", b"Info"):
            known = head[at + 7] & 1
            return (int.from_bytes(head[at + 8 : at + 12], "big") if known else None), True
    return None, data.at(start + 36, 4) == b"VBRI"
