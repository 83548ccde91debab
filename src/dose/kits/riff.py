"""RIFF chunks, and WAV files made of them.

libsndfile stamps the time into float WAVs and writes no bext chunk, so that the same hit would have other
bytes each time; this writer puts down exactly what it is told.
"""

import dataclasses
import struct
from typing import Literal

import numpy as np

Bits = Literal[16, 24, 32]  # 32 is float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """What a WAV says of itself; empty texts are left out."""

    title: str = ""
    comment: str = ""
    software: str = ""
    source: str = ""  # the file or recording that it was taken from
    reference: str = ""  # the originator's own id, at most 32 characters in bext
    position: int = 0  # samples from the start of the source


def chunk(name: str, body: bytes) -> bytes:
    """One chunk: four letters, length, body, padded to an even length."""
    return name.encode("ascii") + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def listing(kind: str, *chunks: bytes) -> bytes:
    """A LIST chunk of one kind."""
    return chunk("LIST", kind.encode("ascii") + b"".join(chunks))


def riff(kind: str, *chunks: bytes) -> bytes:
    """A whole RIFF file."""
    return chunk("RIFF", kind.encode("ascii") + b"".join(chunks))


def wav(audio: np.ndarray, rate: int, bits: Bits = 16, tags: Tags | None = None) -> bytes:
    """[N] or [C, N] as a WAV file's bytes: PCM of 16 or 24 bits (rounded, clipped) or 32-bit float."""
    frames = np.atleast_2d(audio).T
    channels = frames.shape[1]
    width = bits // 8
    codec = 3 if bits == 32 else 1
    body = struct.pack("<HHIIHH", codec, channels, rate, rate * channels * width, channels * width, bits)
    parts = [chunk("fmt ", body + (b"\0\0" if codec == 3 else b""))]
    if codec == 3:
        parts.append(chunk("fact", struct.pack("<I", len(frames))))
    if tags is not None:
        parts.insert(0, chunk("bext", _bext(tags)))
    parts.append(chunk("data", _samples(frames, bits)))
    if tags is not None:
        parts.append(_info(tags))
    return riff("WAVE", *parts)


def _samples(frames: np.ndarray, bits: Bits) -> bytes:
    if bits == 32:
        return np.ascontiguousarray(frames, "<f4").tobytes()
    top = 2 ** (bits - 1)
    whole = np.clip(np.round(frames.astype(np.float64) * top), -top, top - 1).astype("<i4")
    if bits == 16:
        return whole.astype("<i2").tobytes()
    # The low three bytes of each little-endian 32-bit word.
    return np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _info(tags: Tags) -> bytes:
    texts = {
        "INAM": tags.title,
        "ICMT": tags.comment,
        "ISFT": tags.software,
        "ISRC": tags.source,
    }
    return listing("INFO", *(chunk(k, _text(v) + b"\0") for k, v in texts.items() if v))


def _bext(tags: Tags) -> bytes:
    """The Broadcast Wave chunk (EBU Tech 3285, version 1). The date is left empty: it would change bytes."""
    return b"".join(
        [
            _text(f"{tags.title}. {tags.comment}".strip(". "))[:256].ljust(256, b"\0"),
            _text(tags.software)[:32].ljust(32, b"\0"),
            _text(tags.reference)[:32].ljust(32, b"\0"),
            b"\0" * 18,
            struct.pack("<QH", tags.position, 1),
            b"\0" * 254,
            _text(f"T={tags.source}\r\n") if tags.source else b"",
        ]
    )


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace")
