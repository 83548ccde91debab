"""RIFF chunks, and WAV files made of them.

libsndfile writes the time into float WAVs (its PEAK chunk) and no bext chunk, so the same hit would have
different bytes each time. The output of this writer depends on its arguments only.

RIFF (IBM and Microsoft, Multimedia Programming Interface and Data Specifications 1.0): a chunk is a
four-character id, a little-endian 32-bit length and that many bytes, padded to an even length; "RIFF" and
"LIST" chunks hold a type and further chunks.
"""

import dataclasses
import struct
from typing import Literal

import numpy as np

Bits = Literal[16, 24, 32]  # 32 is float
WAVE_FORMAT_PCM, WAVE_FORMAT_IEEE_FLOAT = 1, 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tags:
    """Metadata of a WAV; empty texts are omitted."""

    title: str = ""
    comment: str = ""
    software: str = ""
    source: str = ""  # the file or recording that it was taken from
    reference: str = ""  # the originator's own id, at most 32 characters in bext
    position: int = 0  # samples from the start of the source


def chunk(name: str, body: bytes) -> bytes:
    """One chunk. The length field does not count the padding byte."""
    return name.encode("ascii") + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def list_chunk(kind: str, *chunks: bytes) -> bytes:
    """A LIST chunk of the type `kind`."""
    return chunk("LIST", kind.encode("ascii") + b"".join(chunks))


def riff(kind: str, *chunks: bytes) -> bytes:
    """A whole RIFF file."""
    return chunk("RIFF", kind.encode("ascii") + b"".join(chunks))


def wav(audio: np.ndarray, rate: int, bits: Bits = 16, tags: Tags | None = None) -> bytes:
    """[N] or [C, N] as a WAV file's bytes: PCM of 16 or 24 bits (rounded, clipped) or 32-bit float."""
    frames = np.atleast_2d(audio).T  # [N, C]: channels are interleaved
    channels = frames.shape[1]
    width = bits // 8
    is_float = bits == 32
    format_tag = WAVE_FORMAT_IEEE_FLOAT if is_float else WAVE_FORMAT_PCM
    # WAVEFORMAT: tag, channels, frames per second, bytes per second, bytes per frame, bits per sample.
    body = struct.pack("<HHIIHH", format_tag, channels, rate, rate * channels * width, channels * width, bits)
    # Formats other than PCM have a size of extra fields (0), and a fact chunk with the number of frames.
    chunks = [chunk("fmt ", body + (b"\0\0" if is_float else b""))]
    if is_float:
        chunks.append(chunk("fact", struct.pack("<I", len(frames))))
    if tags is not None:  # bext comes first: `dose.kits.folder` recognises a kit's WAVs by it
        chunks.insert(0, chunk("bext", _bext(tags)))
    chunks.append(chunk("data", _samples(frames, bits)))
    if tags is not None:
        chunks.append(_info(tags))
    return riff("WAVE", *chunks)


def _samples(frames: np.ndarray, bits: Bits) -> bytes:
    if bits == 32:
        floats: bytes = np.ascontiguousarray(frames, "<f4").tobytes()
        return floats
    full_scale = 2 ** (bits - 1)
    integers = np.clip(np.round(frames.astype(np.float64) * full_scale), -full_scale, full_scale - 1)
    words = np.ascontiguousarray(integers.astype("<i4"))  # [N, C]
    if bits == 16:
        return words.astype("<i2").tobytes()
    # 24 bits: the low three bytes of each little-endian 32-bit word.
    packed: bytes = words.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return packed


def _info(tags: Tags) -> bytes:
    """LIST INFO: zero-terminated texts."""
    texts = {"INAM": tags.title, "ICMT": tags.comment, "ISFT": tags.software, "ISRC": tags.source}
    return list_chunk("INFO", *(chunk(k, _text(v) + b"\0") for k, v in texts.items() if v))


def _bext(tags: Tags) -> bytes:
    """The Broadcast Wave chunk (EBU Tech 3285, version 1).

    The date is empty: it would make the bytes depend on when the file was written.
    """
    return b"".join(
        [
            # Offsets in the chunk: 0 Description, 256 Originator, 288 OriginatorReference.
            _text(f"{tags.title}. {tags.comment}".strip(". "))[:256].ljust(256, b"\0"),
            _text(tags.software)[:32].ljust(32, b"\0"),
            _text(tags.reference)[:32].ljust(32, b"\0"),
            # 320 OriginationDate (10 bytes) and OriginationTime (8).
            b"\0" * 18,
            # 338 TimeReference (samples), 346 Version.
            struct.pack("<QH", tags.position, 1),
            # 348 UMID (64 bytes) and Reserved (190).
            b"\0" * 254,
            # 602 CodingHistory.
            _text(f"T={tags.source}\r\n") if tags.source else b"",
        ]
    )


def _text(value: str) -> bytes:
    return value.encode("utf-8", "replace")
