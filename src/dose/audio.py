"""Sound in and out: the only module that opens sound files.

Everywhere else audio is a float32 numpy array, [N] mono or [C, N], full scale 1.0, at 44.1 kHz unless a
function says otherwise.
"""

import contextlib
import dataclasses
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile
import soxr

from dose.errors import AudioError
from dose.files import Packed, atomic

log = logging.getLogger(__name__)

RATE = 44100
MIN_RATE, MAX_RATE, MAX_CHANNELS = 1000, 768_000, 32
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
    """Reads only the header. Raises AudioError as `read` does."""
    name = name or _name(source)
    with _decoding(name):
        info = soundfile.info(_openable(source, name))
    _check_header(info.samplerate, info.channels, name)
    return Info(rate=info.samplerate, channels=info.channels, frames=info.frames, format=info.format)


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
    with _decoding(name), _Forward(_openable(source, name)) as f:
        file_rate, channels = f.samplerate, f.channels
        _check_header(file_rate, channels, name)
        if start > 0:
            f.seek(min(int(start * file_rate), f.frames))
        audio = _decode(f, None if max_seconds is None else int(max_seconds * file_rate))
    if audio.shape[1] == 0:
        raise AudioError(f"{name} holds no samples.")
    if not np.isfinite(audio).all():
        raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
    if mono:
        audio = audio.mean(axis=0)
    if rate is not None and rate != file_rate:
        audio = resample(audio, file_rate, rate)
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
    with _decoding(name), _Forward(_openable(source, name)) as f:
        _check_header(f.samplerate, f.channels, name)
        resampler = soxr.ResampleStream(f.samplerate, rate, f.channels, dtype="float32", quality="HQ")
        total, most = 0, max(1, min(int(seconds * f.samplerate), BLOCK_SAMPLES // f.channels))
        while True:
            block = _decode(f, most, started=total > 0)
            total += block.shape[1]
            if total == 0:
                raise AudioError(f"{name} holds no samples.")
            if not np.isfinite(block).all():
                raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
            done = block.shape[1] < most
            if rate != f.samplerate:
                # A copy: the resampler hands out a buffer that it fills again with the next block.
                block = resampler.resample_chunk(np.ascontiguousarray(block.T), last=done).T.copy()
            if block.shape[1]:
                yield block
            if done:
                _tell_if_cut(total, f, name)
                return


def _tell_if_cut(total: int, f: soundfile.SoundFile, name: str) -> None:
    """What is there of a damaged file is used; whoever gave it should know. MP3 headers only estimate."""
    if total < min(0.99 * f.frames, f.frames - 0.1 * f.samplerate):
        heard, promised = total / f.samplerate, f.frames / f.samplerate
        log.warning("%s breaks off after %.1f s of %.1f s; the part before is used.", name, heard, promised)


@contextlib.contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Tells what libsndfile could not read as an AudioError."""
    try:
        yield
    except (soundfile.LibsndfileError, RuntimeError, TypeError, ValueError) as e:
        raise AudioError(f"{name} is not a sound file that can be read (WAV, FLAC, OGG, MP3, AIFF).") from e


class _Forward(soundfile.SoundFile):
    """A file that is read from here on only.

    soundfile seeks to where it already is after every read of a seekable file, and in an MP3 that throws the
    decoder out of step: up to 0.1 s after each block would come out wrong.
    """

    def seekable(self) -> bool:
        return False


def _decode(f: soundfile.SoundFile, limit: int | None, started: bool = False) -> Array:
    """[C, N], in blocks: a header may promise far more frames than there are, or than memory holds.

    `started` says that something was decoded before, so that what cannot be read is a truncated end.
    """
    blocks, total = [], 0
    while limit is None or total < limit:
        # Small reads: libsndfile gives nothing of a read in which it meets the cut end of a FLAC.
        want = 1 << 14 if limit is None else min(1 << 14, limit - total)
        try:
            block = f.read(want, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError:
            if total == 0 and not started:
                raise
            break  # truncated: what was decoded so far stands
        if not len(block):
            break
        blocks.append(block)
        total += len(block)
    return np.concatenate(blocks).T if blocks else np.zeros((f.channels, 0), np.float32)


def _check_header(rate: int, channels: int, name: str) -> None:
    if not MIN_RATE <= rate <= MAX_RATE:
        raise AudioError(
            f"{name} claims a sample rate of {rate} Hz; {MIN_RATE} to {MAX_RATE} Hz can be used."
        )
    if channels > MAX_CHANNELS:
        raise AudioError(f"{name} has {channels} channels; at most {MAX_CHANNELS} can be used.")


def _name(source: Path | str | Packed | BinaryIO) -> str:
    return (
        str(source) if isinstance(source, Path | str | Packed) else str(getattr(source, "name", "the upload"))
    )


def _openable(source: Path | str | Packed | BinaryIO, name: str) -> str | BinaryIO:
    if isinstance(source, Packed):
        return io.BytesIO(source.read_bytes())
    if not isinstance(source, Path | str):
        return source
    path = Path(source)
    if not path.exists():
        raise AudioError(f"{name} does not exist.")
    if not path.is_file():
        raise AudioError(f"{name} is not a file.")
    if path.stat().st_size == 0:
        raise AudioError(f"{name} is empty.")
    return str(path)


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
