"""MPEG audio, layers I to III (MP3): its frames, counted one by one."""

import dataclasses

from dose.containers.source import Bytes, Container

_KBITS = {
    (3, 3): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 3): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 1): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}  # (version 1 or 2, layer field) -> kbit/s


@dataclasses.dataclass(frozen=True, kw_only=True)
class Frame:
    size: int  # bytes
    samples: int
    kind: tuple[int, int, int, bool]  # version, layer, rate, mono: what stays the same through a file


def frame_at(head: bytes) -> Frame | None:
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bits in (0, 15) or rate == 3 or head[3] & 3 == 2:
        return None
    hz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbits, padding = _KBITS[(3 if version == 3 else 2, layer)][bits - 1], head[2] >> 1 & 1
    samples = 384 if layer == 3 else 576 if layer == 1 and version != 3 else 1152
    size = (12000 * kbits // hz + padding) * 4 if layer == 3 else samples // 8 * 1000 * kbits // hz + padding
    return Frame(size=size, samples=samples, kind=(version, layer, hz, head[3] >> 6 == 3))


def mpeg(data: Bytes, start: int) -> Container:
    """Counts the frames of an MP3 (or of layer I, II).

    libsndfile stops where the header's count ends, or its own guess from the first frame's bit rate, and
    libmpg123 inside it writes to standard error what it thinks of a file that is not clean.
    """
    first = frame_at(data.at(start, 4))
    if first is None:
        return Container(plain=False)
    position, end, count = start, data.sound_end(), 0
    while (frame := frame_at(data.at(position, 4))) is not None and frame.kind == first.kind:
        if position + frame.size > end:
            break
        position, count = position + frame.size, count + 1
    cut = frame is not None and frame.kind == first.kind
    told, has_header = _promised(data, start, first)
    count -= has_header
    # Some encoders count the header's own frame. What is trimmed off the ends, libsndfile knows.
    plain = count > 1 and (position == end or cut) and (told is None or told in (count, count + 1))
    return Container(
        plain=plain,
        counted=True,
        mpeg=True,
        frames=count * first.samples if told is None else None,
        promised=told * first.samples if told is not None and cut and told > count else None,
    )


def _promised(data: Bytes, start: int, first: Frame) -> tuple[int | None, bool]:
    """The frames that a Xing header promises, and whether the first frame is a header and no sound."""
    version, _, _, mono = first.kind
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    head = data.at(start, side + 20)
    for at in (4 + side, 6 + side):  # behind a checksum two bytes later
        if head[at : at + 4] in (b"Xing", b"Info"):
            known = head[at + 7] & 1
            return (int.from_bytes(head[at + 8 : at + 12], "big") if known else None), True
    return None, data.at(start + 36, 4) == b"VBRI"
