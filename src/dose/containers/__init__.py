"""What a sound file holds, read from its own bytes: where the sound lies and how many frames there are.

Headers are often wrong or unfinished: a VBR MP3 without a Xing header, a WAV written to a pipe, files that
were concatenated with `cat`. Decoders trust them. This package counts frames, pages and chunks instead,
without decoding.
"""

import dataclasses
from typing import BinaryIO

from dose.containers.au_caf_w64 import au, caf, w64
from dose.containers.byte_reader import ByteReader, spliced
from dose.containers.container import Container
from dose.containers.flac import flac
from dose.containers.iff import aiff, riff
from dose.containers.mpeg import frame_at, mpeg
from dose.containers.ogg import ogg

_RIFF = (b"RIFF", b"RF64", b"BW64")
# First bytes of the other formats of libsndfile. libsndfile gives what it does not know to libmpg123, which
# searches any file for an MPEG frame and prints to standard error that there is none.
_LIBSNDFILE = (
    *(b"caff", b".snd", b"dns.", b"riff", b"RIFX", b"FORM", b"NIST", b"Crea", b"MAT ", b"2BIT", b"PVF1"),
    *(b" paf", b"fap ", b"Exte", b"ALaw"),
    *(b"\x64\xa3%c\0" % i for i in range(1, 5)),  # IRCAM
    *(b"\0%c\xa3\x64" % i for i in range(1, 5)),
)
_SIZED = {b".snd": au, b"caff": caf, b"riff": w64}


def examine(file: BinaryIO) -> Container:
    """Examines a whole file of any kind. Raises OSError as reading does."""
    data = ByteReader(file)
    start = _sound_start(data)
    found = _by_magic(data, start)
    # Bytes before the sound file are cut off: zeros, which no decoder accepts, and a tag before a format
    # that rarely has one.
    if found.repaired is None and start and (data.at(0, 1) == b"\0" or _is_ffmpeg_only(data, start)):
        return dataclasses.replace(found, repaired=spliced(b"", data, [(start, data.size - start)]))
    return found


def _by_magic(data: ByteReader, start: int) -> Container:
    """Chooses the format by its first bytes; what has none of them may be MPEG, which begins with a frame."""
    magic = data.at(start, 12)
    if magic[:4] in _RIFF and magic[8:] == b"WAVE":
        return riff(data, start)
    if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
        return aiff(data, start)
    if magic[:4] == b"fLaC":
        return flac(data, start)
    if magic[:4] == b"OggS":
        return ogg(data, start)
    if magic[:4] in _SIZED:
        return _SIZED[magic[:4]](data)
    return Container() if magic[:4] in _LIBSNDFILE else mpeg(data, start)


def seekable_copy(file: BinaryIO) -> BinaryIO:
    """The same bytes behind a file object that tolerates libsndfile's seeks before the start."""
    data = ByteReader(file)
    return spliced(b"", data, [(0, data.size)])


def _sound_start(data: ByteReader) -> int:
    """Where the sound file begins, behind ID3v2 tags and zeros; 0 where no known format follows them."""
    position, previous = 0, -1
    while position != previous:
        previous = position
        position = data.skip_zeros(data.skip_id3(position))
    if position >= 3 and data.at(position + 1, 4) == b"ftyp":  # an MP4 begins with the zeros of a size
        position -= 3
    head = data.at(position, 4)
    known = head in (*_RIFF, b"FORM", b"fLaC", b"OggS") or frame_at(head) is not None
    return position if known or _is_ffmpeg_only(data, position) else 0


def _is_ffmpeg_only(data: ByteReader, position: int) -> bool:
    """Whether MP4, Matroska, WavPack, Monkey's Audio or TTA begins here, which only FFmpeg decodes."""
    head = data.at(position, 8)
    return head[4:] == b"ftyp" or head[:4] in (b"\x1a\x45\xdf\xa3", b"wvpk", b"MAC ", b"TTA1")
