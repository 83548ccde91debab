"""Sound files made by code, in every container that people send: FFmpeg through PyAV, and headers by hand."""

import io
import struct

import av
import numpy as np

from dose.audio import RATE

# container -> (FFmpeg's name of it, codec, rate); what is exact gives back the very samples of 16 bits.
LOSSLESS = {
    "m4a": ("ipod", "alac", RATE),
    "mov": ("mov", "pcm_s16le", RATE),
    "mka": ("matroska", "wavpack", RATE),
    "mkv": ("matroska", "pcm_s16le", RATE),
    "wv": ("wv", "wavpack", RATE),
    "tta": ("tta", "tta", RATE),
    "aifc": ("aiff", "pcm_s16le", RATE),
    "wave": ("wav", "pcm_s16le", RATE),
    "avi": ("avi", "pcm_s16le", RATE),
    "caf": ("caf", "pcm_s16be", RATE),
    "w64": ("w64", "pcm_s16le", RATE),
    "au": ("au", "pcm_s16be", RATE),
}
LOSSY = {
    "m4a": ("ipod", "aac", RATE),
    "mp4": ("mp4", "aac", RATE),
    "mov": ("mov", "aac", RATE),
    "3gp": ("3gp", "aac", RATE),
    "aac": ("adts", "aac", RATE),
    "webm": ("webm", "libopus", 48000),
    "mka": ("matroska", "aac", RATE),
    "wma": ("asf", "wmav2", RATE),
    "ac3": ("ac3", "ac3", RATE),
    "ec3": ("eac3", "eac3", RATE),
    "mp2": ("mp2", "mp2", RATE),
    "mp3": ("mp3", "libmp3lame", RATE),
    "opus": ("ogg", "libopus", 48000),
    "ts": ("mpegts", "aac", RATE),
    "flv": ("flv", "aac", RATE),
    "avi": ("avi", "libmp3lame", RATE),
}


def encoded(
    sound: np.ndarray,
    format: str,
    codec: str,
    rate: int = RATE,
    *,
    muxer: dict[str, str] | None = None,
    quality: str | None = None,
) -> bytes:
    """[C, N] at 44.1 kHz as a file's bytes; `quality` is a VBR level of the codec."""
    out = io.BytesIO()
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(sound)]
    with av.open(out, "w", format=format, options=muxer or {}) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.layout = layout
        if quality is None:
            stream.bit_rate = 192_000
        else:
            stream.options = {"flags": "+qscale", "global_quality": str(118 * int(quality))}  # FFmpeg's -q:a
        context = stream.codec_context
        context.format = av.codec.Codec(codec, "w").audio_formats[0].name
        if codec in ("alac", "tta", "wavpack"):
            context.format = "s16p" if codec != "tta" else "s16"
        context.open()
        resampler = av.AudioResampler(context.format, layout, rate, frame_size=context.frame_size or 4096)
        samples = np.round(np.clip(sound, -1, 32767 / 32768) * 32768).astype("<i2")
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples.T.reshape(1, -1)), format="s16", layout=layout
        )
        frame.sample_rate = RATE
        made = resampler.resample(frame)
        made += resampler.resample(None)
        for one in made:
            one.pts = None
            container.mux(stream.encode(one))
        container.mux(stream.encode(None))
    return out.getvalue()


def chunk(
    name: bytes, body: bytes, *, claimed: int | None = None, pad: bool = True, order: str = "<"
) -> bytes:
    """A RIFF or, with order ">", an AIFF chunk with an arbitrary size in its header."""
    size = len(body) if claimed is None else claimed
    return name + struct.pack(order + "I", size) + body + (b"\0" * (len(body) % 2) if pad else b"")


def fmt(channels: int = 1, bits: int = 16, rate: int = RATE, code: int = 1) -> bytes:
    align = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, rate * align, align, bits))


def wav(*chunks: bytes, magic: bytes = b"RIFF", claimed: int | None = None) -> bytes:
    body = b"".join(chunks)
    return magic + struct.pack("<I", len(body) + 4 if claimed is None else claimed) + b"WAVE" + body


def pcm(sound: np.ndarray, bits: int = 16, order: str = "<") -> bytes:
    """[C, N] as integers, frame by frame; of 8 bits unsigned, as WAV has them."""
    whole = np.round(np.clip(sound.T, -1, 1 - 2.0 ** (1 - bits)) * 2 ** (bits - 1)).astype("<i4")
    if bits == 8:
        return (whole + 128).astype(np.uint8).tobytes()
    held = np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 4)[:, : bits // 8]
    return np.ascontiguousarray(held if order == "<" else held[:, ::-1]).tobytes()


def extended(rate: float) -> bytes:
    """A whole number as the 80-bit float of an AIFF header."""
    top = int(rate).bit_length()
    return struct.pack(">HQ", 16382 + top, int(rate) << (64 - top))


def aiff(
    sound: np.ndarray,
    bits: int = 16,
    *,
    frames: int | None = None,
    first: bytes = b"",
    last: bytes = b"",
    size: int | None = None,
    turned: bool = False,
) -> bytes:
    """An AIFF file; `turned` puts the sound before its description."""
    count = sound.shape[1] if frames is None else frames
    common = chunk(b"COMM", struct.pack(">HIH", len(sound), count, bits) + extended(RATE), order=">")
    body = pcm(sound, bits, ">")
    claimed = None if size is None else size
    ssnd = chunk(b"SSND", struct.pack(">II", 0, 0) + body, claimed=claimed, order=">")
    middle = ssnd + common if turned else common + ssnd
    whole = b"AIFF" + first + middle + last
    return b"FORM" + struct.pack(">I", len(whole)) + whole


def id3v2(size: int = 300) -> bytes:
    seven = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\0\0" + seven + b"\0" * size


ID3V1 = b"TAG" + b"a title".ljust(125, b"\0")
APE = b"APETAGEX" + struct.pack("<IIII8x", 2000, 32, 0, 0)


def with_xing(mp3: bytes, frames: int) -> bytes:
    """The MP3 with another count in its Xing header."""
    at = max(mp3.find(b"Xing"), mp3.find(b"Info"))
    return mp3[: at + 8] + struct.pack(">I", frames) + mp3[at + 12 :]


def with_total(flac: bytes, samples: int) -> bytes:
    """The FLAC with another number of samples in its STREAMINFO."""
    held = bytearray(flac)
    held[21] = held[21] & 0xF0 | samples >> 32
    held[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    return bytes(held)
