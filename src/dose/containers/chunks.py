"""RIFF (WAV) and FORM (AIFF): files made of chunks, whose sizes are often wrong."""

import dataclasses
import struct
from collections.abc import Iterator

from dose.containers.source import WINDOW, Bytes, Container, Cut, spliced, split

UNKNOWN = 0x7FFF0000  # sizes from here on were written by programs that did not know them yet


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chunk:
    name: bytes
    start: int  # of its body
    size: int  # that is there
    claimed: int  # by its header


_CHUNKS = frozenset(
    b"fmt |data|LIST|INFO|bext|fact|cue |smpl|inst|id3 |ID3 |iXML|JUNK|junk|PAD |FLLR|ds64|PEAK|acid|axml|"
    b"chna|cart|levl|plst|minf|elm1|regn|umid|DGDA|LGWV|_PMX|DISP|afsp|strc|RIFF|RF64|BW64|"
    b"COMM|SSND|FVER|MARK|NAME|AUTH|(c) |ANNO|APPL|COMT|MIDI|AESD|CHAN|FORM".split(b"|")
)
_SAMPLES = (b"data", b"SSND")
_FORMS = (b"RIFF", b"RF64", b"BW64", b"FORM")


def chunks(data: Bytes, start: int, order: str) -> Iterator[Chunk]:
    """The chunks of a RIFF ("<") or FORM (">") file; of all that were joined, with their heads.

    Sizes that cannot be are mended: a sound's goes to the end of the file, and where a pad byte is missing,
    the next chunk begins without it.
    """
    position, long_size, claimed_end = start, None, 0
    while len(head := data.at(position, 8)) == 8:
        name, size = head[:4], struct.unpack(order + "I", head[4:])[0]
        body = position + 8
        if name in _FORMS:
            yield Chunk(name=name, start=body, size=4, claimed=size)
            position, claimed_end = body + 4, body + size
            continue
        if not _is_name(name) or (name not in _CHUNKS and body + size > data.size):
            position = _next_form(data, position, order)  # tags or zeros between joined files
            continue
        if name == b"ds64":
            long_size = struct.unpack("<Q", data.at(body + 8, 8).ljust(8, b"\0"))[0]
        if name == b"data" and size == 0xFFFFFFFF and long_size:
            size = long_size
        claimed = size
        if name in _SAMPLES and (
            size >= UNKNOWN > data.size - body or (size == 0 and not _begins(data, body))
        ):
            size = _sound_size(data, body, order)
        elif name in _SAMPLES and body + size < claimed_end <= data.size and not _follows(data, body + size):
            size = _sound_size(data, body, order)  # the sound goes on, as the head of the file has it
        size = min(size, data.size - body)
        yield Chunk(name=name, start=body, size=size, claimed=claimed)
        padded = body + size + size % 2
        position = (
            body + size if size % 2 and not _begins(data, padded) and _begins(data, body + size) else padded
        )


def _begins(data: Bytes, position: int) -> bool:
    """Whether a chunk that is known begins here, or the file ends."""
    return position >= data.size or data.at(position, 4) in _CHUNKS


def _is_name(name: bytes) -> bool:
    return all(32 <= byte < 127 for byte in name)


def _follows(data: Bytes, position: int) -> bool:
    """Whether at the end of a chunk may stand another one's name, behind a pad byte or not, or only zeros."""
    return data.skip_zeros(position) > data.size - 8 or any(
        _is_name(data.at(at, 4)) for at in (position, position + 1)
    )


def _next_form(data: Bytes, position: int, order: str) -> int:
    """Where the next joined file begins; the end where there is none."""
    magic, kinds = (b"RIFF", (b"WAVE",)) if order == "<" else (b"FORM", (b"AIFF", b"AIFC"))
    at = data.find(magic, position)
    while at >= 0 and data.at(at + 8, 4) not in kinds:
        at = data.find(magic, at + 1)
    return at if at >= 0 else data.size


def _by_name(data: Bytes, start: int, order: str, *names: bytes) -> list[Chunk]:
    """The chunks with these names, wherever they stand: in front of them a size is wrong."""
    found, position = list[Chunk](), start
    for name in names:
        at = data.find(name, position)
        chunk = next(chunks(data, at, order), None) if at >= 0 else None
        if chunk is None:
            return []
        found.append(chunk)
        position = at + 8 + (chunk.size if name not in _SAMPLES else 0)
    return found


def _walked(data: Bytes, start: int, order: str, *names: bytes) -> tuple[list[Chunk], list[int]]:
    """The chunks, and where each joined file begins."""
    walk = list(chunks(data, start, order))
    found = [chunk for chunk in walk if chunk.name not in _FORMS]
    if not set(names) <= {chunk.name for chunk in found}:
        found = _by_name(data, start + 12, order, *names) or found
    return found, [chunk.start - 8 for chunk in walk if chunk.name in _FORMS]


def _sound_size(data: Bytes, body: int, order: str) -> int:
    """How long a sound of no known size is: to the end of the file, but for chunks and tags behind it."""
    end = data.sound_end()
    tail = max(body, end - WINDOW)
    held = data.at(tail, end - tail)
    for name in _CHUNKS - {b"data", b"SSND", b"fmt "}:
        at = held.find(name)
        while at >= 0:
            size = int.from_bytes(held[at + 4 : at + 8], "little" if order == "<" else "big")
            if len(held) - at - 8 in (size, size + size % 2):
                return _sound_size(Cut(data, tail + at), body, order)
            at = held.find(name, at + 1)
    return end - body


def riff(data: Bytes, start: int) -> Container:
    found, starts = _walked(data, start, "<", b"fmt ", b"data")
    formats = [data.at(c.start, min(c.size, 64)) for c in found if c.name == b"fmt " and c.size >= 16]
    sounds = [c for c in found if c.name == b"data"]
    if not formats or not sounds:
        return Container()
    code, channels = struct.unpack("<HH", formats[0][:4])
    align, bits = struct.unpack("<HH", formats[0][12:16])
    # Codes of which `align` bytes are a frame.
    whole = code in (1, 3, 6, 7, 0xFFFE) and align > 0 and align == channels * -(-bits // 8)
    if len(sounds) > 1 and not (whole and all(one == formats[0] for one in formats)):
        return Container(parts=split(data, starts)) if len(starts) > 1 else Container()
    stretches = [(c.start, c.size - c.size % align if whole else c.size) for c in sounds]
    size = sum(length for _, length in stretches)
    frames = size // align if whole else None
    promised = sum(c.claimed for c in sounds) // align if whole and sounds[-1].claimed < UNKNOWN else frames
    mpeg = code in (0x50, 0x55)  # its frames are counted by a decoder that reads to the end
    first, names = sounds[0], [c.name for c in found]
    if (
        _is_regular(data, start, found, names, "<")
        and len(sounds) == 1
        and names.index(b"fmt ") < names.index(b"data")
    ):
        if mpeg or not whole:
            cut = not mpeg and first.size < first.claimed < UNKNOWN
            share = first.size / first.claimed if cut else 1.0
            return Container(plain=not mpeg, share=share)
        return Container(counted=True, frames=frames, promised=promised if first.claimed else frames)
    fact = next((data.at(c.start, min(c.size, 4)) for c in found if c.name == b"fact"), b"")
    kept = _chunk(b"fmt ", formats[0], "<") + (
        _chunk(b"fact", fact, "<") if len(fact) == 4 and not whole else b""
    )
    length = min(size, 0xFFFFFFFF - len(kept) - 12)
    header = (
        b"RIFF"
        + struct.pack("<I", len(kept) + 12 + length)
        + b"WAVE"
        + kept
        + b"data"
        + struct.pack("<I", length)
    )
    view = spliced(header, data, stretches)
    if mpeg or not whole:
        return Container(plain=not mpeg, view=view)
    return Container(counted=True, view=view, frames=frames, promised=max(promised or 0, frames or 0) or None)


def form(data: Bytes, start: int) -> Container:
    found, starts = _walked(data, start, ">", b"COMM", b"SSND")
    common = [data.at(c.start, min(c.size, 512)) for c in found if c.name == b"COMM" and c.size >= 18]
    sounds = [c for c in found if c.name == b"SSND" and c.size >= 8]
    if not common or not sounds:
        return Container()
    if len(sounds) > 1 and len(starts) > 1:
        return Container(parts=split(data, starts))
    channels, claimed, bits = struct.unpack(">HIH", common[0][:8])
    compressed = data.at(start + 8, 4) == b"AIFC" and common[0][18:22] not in (b"NONE", b"sowt", b"twos")
    align = channels * -(-bits // 8)
    if compressed or not align or len(sounds) > 1:
        return Container()
    offset = struct.unpack(">I", data.at(sounds[0].start, 4))[0]
    offset = offset if offset < sounds[0].size else 0
    frames = max(0, sounds[0].size - 8 - offset) // align
    names = [c.name for c in found]
    promised = claimed if claimed < UNKNOWN // align else frames
    if (
        _is_regular(data, start, found, names, ">")
        and names.index(b"COMM") < names.index(b"SSND")
        and claimed == frames
    ):
        return Container(counted=True, frames=frames, promised=max(promised, frames))
    fixed = common[0][:2] + struct.pack(">I", frames) + common[0][6:]
    size = frames * align
    kept = _chunk(b"COMM", fixed, ">")
    body = b"SSND" + struct.pack(">III", size + 8, 0, 0)
    header = (
        b"FORM" + struct.pack(">I", 4 + len(kept) + len(body) + size) + data.at(start + 8, 4) + kept + body
    )
    view = spliced(header, data, [(sounds[0].start + 8 + offset, size)])
    return Container(counted=True, view=view, frames=frames, promised=max(promised, frames))


def _is_regular(data: Bytes, start: int, found: list[Chunk], names: list[bytes], order: str) -> bool:
    """Whether the chunks stand as the format has them, so that any reader finds the sound."""
    position = start + 12
    for chunk in found:
        if chunk.start != position + 8 or (chunk.claimed != chunk.size and chunk.name not in _SAMPLES):
            return False
        if chunk.name in _SAMPLES and (chunk.size > chunk.claimed or chunk.claimed >= UNKNOWN > chunk.size):
            return False
        position = chunk.start + chunk.size + chunk.size % 2
    return start == 0


def _chunk(name: bytes, body: bytes, order: str) -> bytes:
    return name + struct.pack(order + "I", len(body)) + body + b"\0" * (len(body) % 2)
