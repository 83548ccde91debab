"""Malicious and broken files, generated from a seed."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile

from dose import audio

Case = tuple[str, bytes]  # the name that the client claims, and the bytes

NAMES = (
    "a.wav",
    "../../../../etc/passwd",
    "..\\..\\windows\\system32\\x.wav",
    "/dev/stdin",
    "a\x00b.wav",
    "a" * 4000 + ".wav",
    "con",
    "%2e%2e%2fx",
    "\u202egnp.wav",
    "file:///etc/passwd",
    "http://127.0.0.1/x.wav",
    ".",
    "$(reboot).wav",
)
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def encoded(format: str, seconds: float = 0.3, rate: int = 44100, channels: int = 2, subtype=None) -> bytes:
    noise = np.random.default_rng(0).normal(0, 0.1, (max(1, int(rate * seconds)), channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, noise, rate, format=format, subtype=subtype)
    return buffer.getvalue()


def wav(
    rate: int, channels: int, bits: int, data: bytes, *, claimed: int | None = None, code: int = 1
) -> bytes:
    """A WAV with arbitrary header fields."""
    align = max(1, channels * bits // 8)
    size = len(data) if claimed is None else claimed
    form = struct.pack(
        "<HHIIHH", code, channels & 0xFFFF, rate, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits
    )
    return (
        b"RIFF" + struct.pack("<I", (size + 36) & 0xFFFFFFFF) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data
    )  # fmt: skip


def crafted() -> list[Case]:
    """One file of each known kind of attack or defect."""
    sound = (np.random.default_rng(0).normal(0, 3000, 4000)).astype("<i2").tobytes()
    silence = encoded_array(np.zeros((44100 * 60 * 20, 1), np.int16), "FLAC")
    floats = np.full(5000, np.nan, "<f4")
    floats[::2] = np.inf
    mp3 = encoded("MP3", 0.5)
    flac = bytearray(encoded("FLAC"))
    flac[18:26] = b"\xff" * 8  # the total number of samples, and more, in STREAMINFO
    zipped = b"PK\x03\x04" + b"\0" * 200
    return [
        ("empty.wav", b""),
        ("one.wav", b"R"),
        ("text.wav", b"The quick brown fox. " * 400),
        ("page.mp3", b"<!doctype html><script>alert(1)</script>" * 50),
        ("image.wav", b"\x89PNG\r\n\x1a\n" + b"\0" * 3000),
        ("photo.flac", b"\xff\xd8\xff\xe0JFIF" + bytes(range(256)) * 20),
        ("kit.zip", zipped * 40),
        ("bomb.gz", b"\x1f\x8b\x08" + b"\0" * 4000),
        ("elf.ogg", b"\x7fELF" + b"\0" * 2000),
        ("0hz.wav", wav(0, 2, 16, sound)),
        ("1hz.wav", wav(1, 2, 16, sound)),
        ("10mhz.wav", wav(10_000_000, 2, 16, sound)),
        ("4ghz.wav", wav(0xFFFFFFFF, 2, 16, sound)),
        ("0ch.wav", wav(44100, 0, 16, sound)),
        ("64ch.wav", wav(44100, 64, 16, sound)),
        ("65535ch.wav", wav(44100, 65535, 16, sound)),
        ("10gb.wav", wav(44100, 2, 16, sound, claimed=10 * 2**30)),
        ("4gb.wav", wav(44100, 2, 16, sound, claimed=0xFFFFFFFF)),
        ("negative.wav", wav(44100, 2, 16, sound, claimed=0x80000000)),
        ("0bit.wav", wav(44100, 2, 0, sound)),
        ("63bit.wav", wav(44100, 2, 63, sound)),
        ("strange.wav", wav(44100, 2, 16, sound, code=0x1234)),
        ("nan.wav", wav(44100, 1, 32, floats.tobytes(), code=3)),
        ("huge.wav", wav(44100, 1, 32, np.full(5000, 3e38, "<f4").tobytes(), code=3)),
        ("3samples.wav", wav(44100, 1, 16, sound[:6])),
        ("silence.wav", wav(44100, 2, 16, b"\0" * 88200)),
        ("header.wav", wav(44100, 2, 16, b"")),
        ("half.wav", wav(44100, 2, 16, sound)[:30]),
        ("bomb.flac", silence),
        ("liar.flac", bytes(flac)),
        ("cut.flac", encoded("FLAC")[:400]),
        ("endless.mp3", mp3 * 40 + mp3[: len(mp3) // 2]),
        ("frames.mp3", mp3[:4] * 20_000),
        ("sync.mp3", b"\xff\xfb\x90\x64" + b"\xff" * 200_000),
        ("id3.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + b"\0" * 5000),
        ("cut.ogg", encoded("OGG")[:3000]),
        ("tail.ogg", encoded("OGG")[2000:]),
        ("loop.aiff", encoded("AIFF")[:200]),
        ("good.wav", encoded("WAV")),
        ("good.mp3", mp3),
    ]


def encoded_array(samples: np.ndarray, format: str) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, audio.RATE, format=format)
    return buffer.getvalue()


def cases(count: int, seed: int = 0) -> Iterator[Case]:
    """The crafted ones first, then mutations of good files: flipped, cut, spliced, repeated."""
    known = crafted()
    yield from known[:count]
    rng = np.random.default_rng(seed)
    bases = [encoded(f, 0.15) for f in ("WAV", "FLAC", "OGG", "MP3", "AIFF")]
    bases += [encoded("WAV", 0.1, subtype="FLOAT"), encoded("WAV", 0.2, 8000, 1, "ULAW"), encoded("CAF", 0.1)]
    for i in range(count - len(known)):
        body = bytearray(bases[int(rng.integers(len(bases)))])
        kind = int(rng.integers(5))
        if kind == 0:  # noise in the header
            for at in rng.integers(0, min(128, len(body)), 8):
                body[at] = int(rng.integers(256))
        elif kind == 1:  # noise anywhere
            for at in rng.integers(0, len(body), 200):
                body[at] = int(rng.integers(256))
        elif kind == 2:  # cut
            body = body[: int(rng.integers(1, len(body)))]
        elif kind == 3:  # two files glued together
            other = bases[int(rng.integers(len(bases)))]
            body = body[: int(rng.integers(1, len(body)))] + other[int(rng.integers(len(other))) :]
        else:  # extreme numbers in the header
            for at in rng.integers(4, min(64, len(body) - 4), 3):
                body[at : at + 4] = struct.pack("<I", int(rng.choice(EXTREMES)))
        yield NAMES[i % len(NAMES)], bytes(body)
