"""Opens a sound file with the decoder that gives all of it."""

import contextlib
import io
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import soundfile

from dose import containers
from dose.audio.sound import (
    MAX_CHANNELS,
    MAX_RATE,
    MIN_RATE,
    SUPPORTED_FORMATS,
    ConcatenatedDecoder,
    OpenSound,
    SequentialSoundFile,
)
from dose.containers import mpg123
from dose.containers.container import Container
from dose.errors import AudioError
from dose.files import ArchiveMember

Source = Path | str | ArchiveMember | BinaryIO


@contextlib.contextmanager
def open_sound(source: Source, name: str) -> Iterator[OpenSound]:
    """The file, opened by libsndfile where it gives all of it (exact, and light to load), else by FFmpeg.

    Raises AudioError, also for errors of the decoders within the block.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = _open_file(source, name, stack)
            # The container decides: concatenated files, libsndfile, or FFmpeg.
            found = containers.examine(file)
            if found.parts:
                joined = ConcatenatedDecoder(found.parts, name, open_sound)
                stack.callback(joined.close)
                yield OpenSound(decoder=joined, name=name, frames=joined.frames, exact=False, declared=None)
                return
            sound = _by_libsndfile(found, source, file, name, stack) or _by_ffmpeg(found, file, name, stack)
            _check_header(sound.rate, sound.channels, name)
            yield sound
        except OSError as e:
            raise AudioError(f"{name} cannot be read ({e.strerror or e}).") from e
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, struct.error) as e:
            raise AudioError(f"{name} is not a sound file that can be read ({SUPPORTED_FORMATS}).") from e


def source_name(source: Source) -> str:
    """The name for messages: the path, or "the upload" for bytes without one."""
    if isinstance(source, Path | str | ArchiveMember):
        return str(source)
    return str(getattr(source, "name", "the upload"))


def _open_file(source: Source, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    """The source as a file at its start."""
    if isinstance(source, ArchiveMember):
        return io.BytesIO(source.read_bytes())
    if not isinstance(source, Path | str):
        return source
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):  # opening a pipe would wait for a writer
            raise AudioError(f"{name} is not a file.")
        file = stack.enter_context(open(source, "rb"))  # noqa: SIM115 - closed by the stack
    except FileNotFoundError as e:
        raise AudioError(f"{name} does not exist.") from e
    if os.fstat(file.fileno()).st_size == 0:
        raise AudioError(f"{name} is empty.")
    return file


def _by_libsndfile(
    found: Container, source: Source, file: BinaryIO, name: str, stack: contextlib.ExitStack
) -> OpenSound | None:
    """None where libsndfile cannot open the file or would not give all of it."""
    if not found.libsndfile:
        return None
    # A path goes to libsndfile as bytes: file names need not be of any encoding.
    target = os.fsencode(source) if isinstance(source, Path | str) else containers.seekable_copy(file)
    try:
        with mpg123.muted() if found.mpeg else contextlib.nullcontext():
            decoder = stack.enter_context(SequentialSoundFile(found.repaired or target))
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError):
        return None
    # libsndfile trusts some headers that promise too little; FFmpeg reads to the end.
    if found.frames is not None and decoder.frames < found.frames:
        return None
    return OpenSound(
        decoder=decoder,
        name=name,
        frames=decoder.frames if found.frames is None else found.frames,
        exact=found.frames is not None,
        declared=found.declared if found.examined else round(decoder.frames / found.fraction),
        mpeg=found.mpeg,
        truncated=found.truncated,
    )


def _by_ffmpeg(found: Container, file: BinaryIO, name: str, stack: contextlib.ExitStack) -> OpenSound:
    """Raises AudioError or ValueError as `dose.ffmpeg.Decoder` does."""
    from dose.ffmpeg import Decoder  # loads FFmpeg's libraries, which most files do not need

    decoder = Decoder(found.repaired or file, name, stack)
    # Where only the share of the declared bytes is known, the declared length follows from what is decoded.
    declared = found.declared if found.examined else decoder.declared
    if found.fraction < 1:
        declared = round(decoder.frames / found.fraction)
    frames = max(0, found.frames or decoder.frames)
    return OpenSound(decoder=decoder, name=name, frames=frames, exact=False, declared=declared)


def _check_header(rate: int, channels: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name} claims a sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name} has {channels} channels; 1 to at most {MAX_CHANNELS} can be used.")
