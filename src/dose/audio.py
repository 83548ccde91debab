"""Sound in and out: the only module that opens sound files.

Everywhere else audio is a float32 numpy array, [N] mono or [C, N], full scale 1.0, at 44.1 kHz unless a
function says otherwise.
"""

import contextlib
import dataclasses
import io
import logging
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import soundfile
import soxr

from dose import containers
from dose.containers.quiet import quiet
from dose.errors import AudioError
from dose.files import Packed, atomic

log = logging.getLogger(__name__)

RATE = 44100
MIN_RATE, MAX_RATE, MAX_CHANNELS = 1000, 768_000, 32
KINDS = "WAV, FLAC, OGG, MP3, AIFF, M4A, WMA, WebM and others"
# Mean of the channels against the loudest of them. Of different sounds it lies at -3 dB, of a sound in one of
# two channels at -6 dB; below -20 dB the channels are turned against each other.
EMPTY_DB = -20.0
LONGEST_SECONDS = 360_000.0  # of a file that is believed to be cut; a header that promises more is wrong
HIGHEST = 1e12  # of a float sample; integers that were never scaled reach 2e9
BLOCK_SAMPLES = 1 << 22  # of all channels together, in one block of a stream

Array = np.ndarray
Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Info:
    """What a file's header says of itself, checked for plausibility."""

    rate: int  # Hz
    channels: int
    frames: int
    format: str

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def probe(source: Path | str | Packed | BinaryIO, name: str | None = None) -> Info:
    """Reads headers, and counts frames where headers guess. Raises AudioError as `read` does."""
    with _opened(source, name or _name(source)) as f:
        return Info(rate=f.rate, channels=f.channels, frames=f.frames, format=f.decoder.format)


def read(
    source: Path | str | Packed | BinaryIO,
    *,
    name: str | None = None,
    rate: int | None = RATE,
    mono: bool = True,
    start: float = 0.0,
    max_seconds: float | None = None,
) -> Array:
    """Decodes a file to float32, [N] if `mono` else [C, N], resampled to `rate` (None keeps the file's).

    `start` and `max_seconds` bound what is decoded, whatever the header claims. Raises AudioError, in one
    sentence with the file's name, for what is missing, empty, not sound, truncated before its first sample,
    not finite, or outlandish in rate or channels.
    """
    name = name or _name(source)
    with _opened(source, name) as f:
        if start > 0:
            f.skip(int(start * f.rate))
        audio = f.take(None if max_seconds is None else int(max_seconds * f.rate))
    if audio.shape[1] == 0:
        raise AudioError(f"{name} holds no samples.")
    _check_samples(audio, name)
    if mono:
        audio = downmix(audio)
    if rate is not None and rate != f.rate:
        audio = resample(audio, f.rate, rate)
    return np.ascontiguousarray(audio, dtype=np.float32)


def stream(
    source: Path | str | Packed | BinaryIO,
    *,
    name: str | None = None,
    rate: int = RATE,
    seconds: float = 20.0,
) -> Iterator[Array]:
    """Decodes a file of any length in blocks [C, N] of about `seconds`, resampled to `rate` without seams.

    The blocks together equal what `read` gives with `mono=False`; only one is held in memory, shorter where
    many channels or a high rate would make it large (BLOCK_SAMPLES). Raises AudioError as `read` does, for a
    flaw in a later block once that block is reached.
    """
    name = name or _name(source)
    with _opened(source, name) as f:
        resampler = soxr.ResampleStream(f.rate, rate, f.channels, dtype="float32", quality="HQ")
        total, most = 0, max(1, min(int(seconds * f.rate), BLOCK_SAMPLES // f.channels))
        while True:
            block = f.take(most)
            total += block.shape[1]
            if total == 0:
                raise AudioError(f"{name} holds no samples.")
            _check_samples(block, name)
            done = block.shape[1] < most
            if rate != f.rate:
                # A copy: the resampler hands out a buffer that it fills again with the next block.
                block = resampler.resample_chunk(np.ascontiguousarray(block.T), last=done).T.copy()
            if block.shape[1]:
                yield block
            if done:
                f.tell_if_cut(total)
                return


class _Forward(soundfile.SoundFile):
    """A file that is read from here on only.

    soundfile seeks to where it already is after every read of a seekable file, and in an MP3 that throws the
    decoder out of step: up to 0.1 s after each block would come out wrong.
    """

    def seekable(self) -> bool:
        return False


@dataclasses.dataclass(kw_only=True)
class _Sound:
    """An open file, from which samples are taken in turn."""

    decoder: Any  # _Forward or ffmpeg.Decoder
    name: str
    frames: int  # counted where they can be, else as the decoder has it
    counted: bool  # there are no more than `frames`, and what lies behind them is no sound
    promised: int | None  # by a header that can be believed
    mpeg: bool = False  # libmpg123 decodes it
    torn: bool = False  # it ends in the middle; how long it was is not known
    given: int = 0

    @property
    def rate(self) -> int:
        return int(self.decoder.samplerate)

    @property
    def channels(self) -> int:
        return int(self.decoder.channels)

    def skip(self, frames: int) -> None:
        frames = min(frames, self.frames)
        with quiet() if self.mpeg else contextlib.nullcontext():
            self.decoder.seek(frames)
        self.given += frames

    def take(self, limit: int | None) -> Array:
        """The next [C, N], in blocks: a header may promise far more than there is, or than memory holds."""
        if self.counted:
            left = max(0, self.frames - self.given)
            limit = left if limit is None else min(limit, left)
        blocks, total = [], 0
        while limit is None or total < limit:
            # Small reads: libsndfile gives nothing of a read in which it meets the cut end of a FLAC.
            want = 1 << 14 if limit is None else min(1 << 14, limit - total)
            try:
                with quiet() if self.mpeg else contextlib.nullcontext():
                    block = self.decoder.read(want, dtype="float32", always_2d=True)
            except soundfile.LibsndfileError:
                if total == 0 and self.given == 0:
                    raise
                break  # truncated: what was decoded so far stands
            if not len(block):
                break
            blocks.append(block)
            total += len(block)
        self.given += total
        return np.concatenate(blocks).T if blocks else np.zeros((self.channels, 0), np.float32)

    def tell_if_cut(self, total: int) -> None:
        """What is there of a damaged file is used; whoever gave it should know."""
        if self.torn:
            log.warning("%s breaks off after %.1f s; the part before is used.", self.name, total / self.rate)
            return
        if not self.promised or self.promised > LONGEST_SECONDS * self.rate:
            return
        if total < min(0.99 * self.promised, self.promised - 0.1 * self.rate):
            heard, promised = total / self.rate, self.promised / self.rate
            log.warning(
                "%s breaks off after %.1f s of %.1f s; the part before is used.", self.name, heard, promised
            )


@contextlib.contextmanager
def _opened(source: Path | str | Packed | BinaryIO, name: str) -> Iterator[_Sound]:
    """The file with a decoder that gives all of it: libsndfile where it does (exact, and light to load), else
    FFmpeg. Raises AudioError."""
    with contextlib.ExitStack() as stack:
        try:
            file = _file(source, name, stack)
            found = containers.examine(file)
            if found.parts:
                joined = _Joined(found.parts, name)
                stack.callback(joined.close)
                yield _Sound(decoder=joined, name=name, frames=joined.frames, counted=False, promised=None)
                return
            plain = _by_libsndfile(found, source, file, stack) if found.plain else None
            if plain is not None and (found.frames is None or plain.frames >= found.frames):
                sound = _Sound(
                    decoder=plain,
                    name=name,
                    frames=plain.frames if found.frames is None else found.frames,
                    counted=found.frames is not None,
                    promised=found.promised if found.counted else round(plain.frames / found.share),
                    mpeg=found.mpeg,
                    torn=found.torn,
                )
            else:
                from dose.ffmpeg import Decoder

                other = Decoder(found.view or file, name, stack)
                frames = max(0, found.frames or other.frames)
                promised = found.promised if found.counted else other.promised
                if found.share < 1:
                    promised = round(other.frames / found.share)
                sound = _Sound(decoder=other, name=name, frames=frames, counted=False, promised=promised)
            _check_header(sound.rate, sound.channels, name)
            yield sound
        except OSError as e:
            raise AudioError(f"{name} cannot be read ({e.strerror or e}).") from e
        except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError, struct.error) as e:
            raise AudioError(f"{name} is not a sound file that can be read ({KINDS}).") from e


class _Joined:
    """Files joined one behind the other, with the part of soundfile's interface that is used here.

    They are opened in turn and given at the first one's rate and number of channels.
    """

    def __init__(self, parts: tuple[BinaryIO, ...], name: str) -> None:
        self._parts, self._name, self._at = parts, name, 0
        self._stack = contextlib.ExitStack()
        self.samplerate = self.channels = 0  # not known yet
        self._open()
        if self._now is None:
            raise AudioError(f"{name} is not a sound file that can be read ({KINDS}).")
        self.samplerate, self.channels = self._now.rate, self._now.channels
        self.frames, self.format = self._now.frames, self._now.decoder.format
        self._rest = np.zeros((self.channels, 0), np.float32)

    def close(self) -> None:
        self._stack.close()

    def _open(self) -> None:
        """The next part that can be opened; what cannot is said and left out."""
        self.close()
        self._now: _Sound | None = None
        self._resampler: soxr.ResampleStream | None = None
        while self._now is None and self._at < len(self._parts):
            part, self._at = self._parts[self._at], self._at + 1
            try:
                name = f"{self._name} (part {self._at} of {len(self._parts)})"
                self._now = self._stack.enter_context(_opened(part, name))
            except AudioError as e:
                log.warning("%s", e)
            else:
                if self.samplerate not in (0, self._now.rate):
                    self._resampler = soxr.ResampleStream(
                        self._now.rate, self.samplerate, self.channels, dtype="float32", quality="HQ"
                    )

    def seek(self, frames: int) -> None:
        while frames > 0 and len(gone := self.read(min(frames, 1 << 14))):
            frames -= len(gone)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Array:
        """The next float32 [n, C], n <= `frames`; none at the end."""
        while not self._rest.shape[1] and self._now is not None:
            block = self._now.take(1 << 14)
            done = block.shape[1] < 1 << 14
            if len(block) != self.channels:
                block = np.repeat(downmix(block)[None], self.channels, axis=0)
            if self._resampler is not None:
                block = self._resampler.resample_chunk(np.ascontiguousarray(block.T), last=done).T.copy()
            self._rest = block
            if done:
                self._now.tell_if_cut(self._now.given)
                self._open()
        block, self._rest = self._rest[:, :frames], self._rest[:, frames:]
        return block.T


def _by_libsndfile(
    found: containers.Container, source: object, file: BinaryIO, stack: contextlib.ExitStack
) -> _Forward | None:
    """None for what libsndfile cannot open. A path goes to it as bytes: names need not be of any encoding."""
    whole = os.fsencode(source) if isinstance(source, Path | str) else containers.whole(file)
    try:
        with quiet() if found.mpeg else contextlib.nullcontext():
            return stack.enter_context(_Forward(found.view or whole))
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError):
        return None


def _check_samples(samples: Array, name: str) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
    if peak(samples) > HIGHEST:
        raise AudioError(f"{name} holds samples of more than {HIGHEST:g} times full scale; it is damaged.")


def _check_header(rate: int, channels: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name} claims a sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used."
        )
    if not 1 <= channels <= MAX_CHANNELS:
        raise AudioError(f"{name} has {channels} channels; 1 to at most {MAX_CHANNELS} can be used.")


def _name(source: Path | str | Packed | BinaryIO) -> str:
    return (
        str(source) if isinstance(source, Path | str | Packed) else str(getattr(source, "name", "the upload"))
    )


def _file(source: Path | str | Packed | BinaryIO, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    """The source as a file at its start."""
    if isinstance(source, Packed):
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


def write(path: Path | str, audio: Array, rate: int = RATE, subtype: Subtype = "PCM_16") -> None:
    """Writes [N] or [C, N] as WAV or FLAC, by the suffix; whole or not at all; integers clip."""
    with atomic(path) as beside:
        soundfile.write(beside, np.asarray(audio).T, rate, subtype=subtype)


def wav_bytes(audio: Array, rate: int = RATE, subtype: Subtype = "PCM_16") -> bytes:
    """[N] or [C, N] as the bytes of a WAV file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(audio).T, rate, subtype=subtype, format="WAV")
    return buffer.getvalue()


def encoded(audio: Array, container: Literal["FLAC", "MP3", "OGG"], rate: int = RATE) -> bytes:
    """[N] or [C, N] as the bytes of a compressed file: FLAC (16 bit, exact), MP3 or OGG Vorbis (lossy)."""
    buffer = io.BytesIO()
    soundfile.write(buffer, np.asarray(audio).T, rate, format=container)
    return buffer.getvalue()


def resample(audio: Array, from_rate: int, to_rate: int) -> Array:
    """Band-limited (soxr, high quality) along the last axis."""
    if from_rate == to_rate:
        return audio
    return soxr.resample(audio.T, from_rate, to_rate, quality="HQ").T.astype(np.float32, copy=False)


def downmix(sound: Array) -> Array:
    """[C, N] to mono [N]: the mean of the channels, as long as they do not cancel each other out.

    Where they do (EMPTY_DB), of two channels half their difference is taken, which is what the mean would be
    had one not been turned over; of more, the loudest. [N] stays as it is.
    """
    if sound.ndim == 1:
        return sound
    mid: Array = sound.mean(axis=0)
    powers = [float(np.vdot(channel, channel)) for channel in sound]
    if len(sound) == 1 or float(np.vdot(mid, mid)) >= 10 ** (EMPTY_DB / 10) * max(powers):
        return mid
    return 0.5 * (sound[0] - sound[1]) if len(sound) == 2 else sound[int(np.argmax(powers))]


def db(ratio: float | Array) -> float | Array:
    """Amplitude ratio to decibels; 0 becomes -200 dB rather than minus infinity."""
    return 20 * np.log10(np.maximum(ratio, 1e-10))


def from_db(level: float | Array) -> float | Array:
    return 10 ** (np.asarray(level) / 20)


def peak(audio: Array) -> float:
    return float(np.abs(audio).max(initial=0.0))


def normalise_peak(audio: Array, level_db: float = 0.0) -> Array:
    """Scales so that the largest sample lies at `level_db` dBFS; silence stays silence."""
    top = peak(audio)
    return audio if top == 0 else (audio * (from_db(level_db) / top)).astype(np.float32)


def fit_length(audio: Array, samples: int) -> Array:
    """Cuts or zero-pads the last axis to `samples`."""
    if audio.shape[-1] >= samples:
        return audio[..., :samples]
    pad = [(0, 0)] * (audio.ndim - 1) + [(0, samples - audio.shape[-1])]
    return np.pad(audio, pad)


def fade_out(audio: Array, samples: int) -> Array:
    """A half-cosine fade over the last `samples`."""
    samples = min(samples, audio.shape[-1])
    if samples <= 0:
        return audio
    out = audio.copy()
    out[..., -samples:] *= 0.5 * (1 + np.cos(np.linspace(0, np.pi, samples, dtype=np.float32)))
    return out


def lead_in(audio: Array, threshold_db: float = -40.0) -> int:
    """Samples before the first one that reaches `threshold_db` below the peak; 0 for silence."""
    loud = np.abs(audio) if audio.ndim == 1 else np.abs(audio).max(axis=0)
    top = loud.max(initial=0.0)
    return int(np.argmax(loud >= top * from_db(threshold_db))) if top > 0 else 0
