"""An open sound file: its decoder, how many frames it has, and where the reading stands."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol

import numpy as np
import soundfile
import soxr

from dose.audio.processing import Array, downmix
from dose.containers import mpg123
from dose.errors import AudioError

log = logging.getLogger(__name__)

MIN_RATE, MAX_RATE, MAX_CHANNELS = 1000, 768_000, 32
SUPPORTED_FORMATS = "WAV, FLAC, OGG, MP3, AIFF, M4A, WMA, WebM and others"  # for messages
# 100 hours: the longest declared length that is compared with what was decoded. Where a header declares more,
# it is the header that is wrong.
MAX_DECLARED_SECONDS = 360_000.0
# Small, because libsndfile returns nothing of a read that meets the cut end of a FLAC.
READ_FRAMES = 1 << 14


class Decoder(Protocol):
    """The part of soundfile's interface that is used here."""

    @property
    def samplerate(self) -> int: ...

    @property
    def channels(self) -> int: ...

    @property
    def format(self) -> str: ...

    def seek(self, frames: int, /) -> object: ...

    def read(self, frames: int, /, dtype: str, always_2d: bool) -> Array: ...


class SequentialSoundFile(soundfile.SoundFile):
    """A soundfile.SoundFile that is read forward only.

    After every read of a seekable file soundfile seeks to where it already is, and in an MP3 that puts the
    decoder out of step: up to 0.1 s after each block would be wrong.
    """

    def seekable(self) -> bool:
        return False


@dataclasses.dataclass(kw_only=True)
class OpenSound:
    """An open file, read forward in blocks [C, N]."""

    decoder: Decoder
    name: str
    frames: int  # counted if possible, else the decoder's estimate
    exact: bool  # `frames` is right, and what the decoder gives behind it is not sound
    declared: int | None  # frames by a trustworthy header
    mpeg: bool = False  # libmpg123 decodes it
    truncated: bool = False  # it ends within a frame, and its full length is unknown
    position: int = 0  # frames read or skipped

    @property
    def rate(self) -> int:
        return int(self.decoder.samplerate)

    @property
    def channels(self) -> int:
        return int(self.decoder.channels)

    def skip(self, frames: int) -> None:
        """Moves forward by `frames`, at most to the end."""
        frames = min(frames, self.frames)
        with mpg123.muted() if self.mpeg else contextlib.nullcontext():
            self.decoder.seek(frames)
        self.position += frames

    def read(self, limit: int | None) -> Array:
        """The next frames [C, N], N <= `limit` (None: all). Fewer than `limit` only at the end.

        Memory grows with what is decoded and not with the declared length, which may be far larger.
        """
        # Padding behind the counted frames (MP3, joined chunks) is not read.
        if self.exact:
            left = max(0, self.frames - self.position)
            limit = left if limit is None else min(limit, left)
        blocks, total = list[Array](), 0
        while limit is None or total < limit:
            wanted = READ_FRAMES if limit is None else min(READ_FRAMES, limit - total)
            try:
                with mpg123.muted() if self.mpeg else contextlib.nullcontext():
                    block = self.decoder.read(wanted, dtype="float32", always_2d=True)  # [n, C]
            except soundfile.LibsndfileError:
                if total == 0 and self.position == 0:
                    raise
                break  # truncated: the frames decoded so far are used
            if not len(block):
                break
            blocks.append(block)
            total += len(block)
        self.position += total
        return np.concatenate(blocks).T if blocks else np.zeros((self.channels, 0), np.float32)

    def warn_if_truncated(self, total: int) -> None:
        """Logs a warning if `total` decoded frames are clearly fewer than the file declares."""
        if self.truncated:
            log.warning("%s breaks off after %.1f s; the part before is used.", self.name, total / self.rate)
            return
        if not self.declared or self.declared > MAX_DECLARED_SECONDS * self.rate:
            return
        # Both 1 % and 0.1 s short: encoders round the length and trim the ends.
        if total < min(0.99 * self.declared, self.declared - 0.1 * self.rate):
            decoded, declared = total / self.rate, self.declared / self.rate
            log.warning(
                "%s breaks off after %.1f s of %.1f s; the part before is used.", self.name, decoded, declared
            )


class ConcatenatedDecoder:
    """Decoder of files that stand one behind the other in one file (`cat a.wav b.wav`).

    The parts are opened in turn and converted to the first one's rate and number of channels. Raises
    AudioError if none can be opened.
    """

    def __init__(
        self,
        parts: tuple[BinaryIO, ...],
        name: str,
        open_part: Callable[[BinaryIO, str], AbstractContextManager[OpenSound]],
    ) -> None:
        self._parts, self._name, self._open_part = parts, name, open_part
        self._next = 0  # index of the part to open next
        self._stack = contextlib.ExitStack()
        self.samplerate = self.channels = 0  # unknown until the first part is open
        self._current: OpenSound | None = None
        self._resampler: soxr.ResampleStream | None = None
        self._open_next()
        if self._current is None:
            raise AudioError(f"{name} is not a sound file that can be read ({SUPPORTED_FORMATS}).")
        self.samplerate, self.channels = self._current.rate, self._current.channels
        self.frames: int = self._current.frames
        self.format: str = self._current.decoder.format
        self._buffer: Array = np.zeros((self.channels, 0), np.float32)  # decoded and not yet read

    def close(self) -> None:
        self._stack.close()

    def _open_next(self) -> None:
        """Opens the next readable part; a part that cannot be opened is logged and left out."""
        # Closing the part before frees its decoder; only one is open at a time.
        self.close()
        self._current = self._resampler = None
        while self._current is None and self._next < len(self._parts):
            part, self._next = self._parts[self._next], self._next + 1
            try:
                name = f"{self._name} (part {self._next} of {len(self._parts)})"
                self._current = self._stack.enter_context(self._open_part(part, name))
            except AudioError as e:
                log.warning("%s", e)
            else:
                if self.samplerate not in (0, self._current.rate):
                    self._resampler = soxr.ResampleStream(
                        self._current.rate, self.samplerate, self.channels, dtype="float32", quality="HQ"
                    )

    def seek(self, frames: int) -> None:
        """Moves forward by decoding."""
        while frames > 0 and len(skipped := self.read(min(frames, READ_FRAMES))):
            frames -= len(skipped)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Array:
        """The next float32 [n, C], n <= `frames`; none at the end."""
        while not self._buffer.shape[1] and self._current is not None:
            block = self._current.read(READ_FRAMES)  # [C', n]
            last = block.shape[1] < READ_FRAMES
            # As many channels as the first part: others are mixed down and repeated.
            if len(block) != self.channels:
                block = np.repeat(downmix(block)[None], self.channels, axis=0)
            if self._resampler is not None:
                block = self._resampler.resample_chunk(np.ascontiguousarray(block.T), last=last).T.copy()
            self._buffer = block
            # A short block is the end of this part.
            if last:
                self._current.warn_if_truncated(self._current.position)
                self._open_next()
        out: Array = self._buffer[:, :frames].T
        self._buffer = self._buffer[:, frames:]
        return out
