"""What a sound file holds, read from its own bytes: where the sound lies and how much of it there is.

Headers guess, lie, or were never filled in: a VBR MP3 without a Xing header, a WAV written to a pipe, files
that were joined with `cat`. Decoders believe them. Here frames, pages and chunks are counted, not decoded.
"""

import dataclasses
from typing import BinaryIO

from dose.containers.chunks import form, riff
from dose.containers.flac import flac
from dose.containers.mpeg import frame_at, mpeg
from dose.containers.ogg import ogg
from dose.containers.plain import au, caf, w64
from dose.containers.source import Bytes, Container, spliced

_RIFF = (b"RIFF", b"RF64", b"BW64")
# How other files begin that libsndfile knows. What it does not know it gives to libmpg123, which looks for a
# frame in whatever it is given and tells standard error that there is none.
_LIBSNDFILE = (
    *(b"caff", b".snd", b"dns.", b"riff", b"RIFX", b"FORM", b"NIST", b"Crea", b"MAT ", b"2BIT", b"PVF1"),
    *(b" paf", b"fap ", b"Exte", b"ALaw"),
    *(b"\x64\xa3%c\0" % i for i in range(1, 5)),  # IRCAM
    *(b"\0%c\xa3\x64" % i for i in range(1, 5)),
)
_SIZED = {b".snd": au, b"caff": caf, b"riff": w64}


def examine(file: BinaryIO) -> Container:
    """Looks at a whole file, of whatever kind. Raises OSError as reading does."""
    data = Bytes(file)
    start = _front(data)
    found = _look(data, start)
    # Zeros in front no decoder expects, and a tag only before what mostly has one.
    if found.view is None and start and (data.at(0, 1) == b"\0" or _is_foreign(data, start)):
        return dataclasses.replace(found, view=spliced(b"", data, [(start, data.size - start)]))
    return found


def _look(data: Bytes, start: int) -> Container:
    magic = data.at(start, 12)
    if magic[:4] in _RIFF and magic[8:] == b"WAVE":
        return riff(data, start)
    if magic[:4] == b"FORM" and magic[8:] in (b"AIFF", b"AIFC"):
        return form(data, start)
    if magic[:4] == b"fLaC":
        return flac(data, start)
    if magic[:4] == b"OggS":
        return ogg(data, start)
    if magic[:4] in _SIZED:
        return _SIZED[magic[:4]](data)
    return Container() if magic[:4] in _LIBSNDFILE else mpeg(data, start)


def whole(file: BinaryIO) -> BinaryIO:
    """The file as libsndfile is to see it."""
    data = Bytes(file)
    return spliced(b"", data, [(0, data.size)])


def _front(data: Bytes) -> int:
    """Where the sound file begins, behind ID3v2 tags and zeros in front; 0 where no sound follows them."""
    position, before = 0, -1
    while position != before:
        before = position
        position = data.skip_zeros(data.skip_id3(position))
    if position >= 3 and data.at(position + 1, 4) == b"ftyp":  # an MP4 begins with the zeros of a size
        position -= 3
    head = data.at(position, 4)
    known = head in (*_RIFF, b"FORM", b"fLaC", b"OggS") or frame_at(head) is not None
    return position if known or _is_foreign(data, position) else 0


def _is_foreign(data: Bytes, position: int) -> bool:
    """Whether MP4, Matroska, WavPack or Monkey's Audio begins here, which FFmpeg decodes."""
    head = data.at(position, 8)
    return head[4:] == b"ftyp" or head[:4] in (b"\x1a\x45\xdf\xa3", b"wvpk", b"MAC ", b"TTA1")
