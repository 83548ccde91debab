"""Decodes sound files to arrays: whole, or in blocks."""

import dataclasses
from collections.abc import Iterator

import numpy as np
import soxr

from dose.audio.opening import Source, open_sound, source_name
from dose.audio.processing import RATE, Array, downmix, peak, resample
from dose.audio.sound import MAX_CHANNELS, MAX_RATE, MIN_RATE
from dose.errors import AudioError

__all__ = ["MAX_CHANNELS", "MAX_RATE", "MIN_RATE", "Info", "probe", "read", "stream"]

# Largest plausible magnitude of a float sample. Integers that were stored as float without scaling reach 2e9.
MAX_SAMPLE = 1e12
BLOCK_SAMPLES = 1 << 22  # of all channels together, in one block of a stream: 16 MiB


@dataclasses.dataclass(frozen=True, kw_only=True)
class Info:
    """A file's header, checked for plausibility."""

    rate: int  # Hz
    channels: int
    frames: int  # samples per channel
    format: str

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def probe(source: Source, name: str | None = None) -> Info:
    """Reads headers, and counts frames where headers guess. Raises AudioError as `read` does."""
    with open_sound(source, name or source_name(source)) as sound:
        return Info(
            rate=sound.rate, channels=sound.channels, frames=sound.frames, format=sound.decoder.format
        )


def read(
    source: Source,
    *,
    name: str | None = None,
    rate: int | None = RATE,
    mono: bool = True,
    start: float = 0.0,
    max_seconds: float | None = None,
) -> Array:
    """Decodes a file to float32, [N] if `mono` else [C, N], resampled to `rate` (None: the file's rate).

    `start` and `max_seconds` bound what is decoded, whatever the header declares. Raises AudioError, in one
    sentence with the file's name, for a file that is missing, empty, not sound, truncated before its first
    sample, or implausible in rate, channels or sample values.
    """
    name = name or source_name(source)
    with open_sound(source, name) as sound:
        if start > 0:
            sound.skip(int(start * sound.rate))
        audio = sound.read(None if max_seconds is None else int(max_seconds * sound.rate))  # [C, N]
        file_rate = sound.rate
    if audio.shape[1] == 0:
        raise AudioError(f"{name} holds no samples.")
    _check_samples(audio, name)
    if mono:
        audio = downmix(audio)  # [N]
    if rate is not None and rate != file_rate:
        audio = resample(audio, file_rate, rate)
    return np.ascontiguousarray(audio, dtype=np.float32)


def stream(
    source: Source,
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
    name = name or source_name(source)
    with open_sound(source, name) as sound:
        resampler = soxr.ResampleStream(sound.rate, rate, sound.channels, dtype="float32", quality="HQ")
        total, limit = 0, max(1, min(int(seconds * sound.rate), BLOCK_SAMPLES // sound.channels))
        while True:
            block = sound.read(limit)
            total += block.shape[1]
            if total == 0:
                raise AudioError(f"{name} holds no samples.")
            _check_samples(block, name)
            # Only the last block is short; then the resampler gives its tail too.
            last = block.shape[1] < limit
            if rate != sound.rate:
                # A copy: the resampler returns a buffer that it overwrites with the next block.
                block = resampler.resample_chunk(np.ascontiguousarray(block.T), last=last).T.copy()
            if block.shape[1]:
                yield block
            if last:
                sound.warn_if_truncated(total)
                return


def _check_samples(samples: Array, name: str) -> None:
    if not np.isfinite(samples).all():
        raise AudioError(f"{name} holds samples that are not finite numbers (NaN or infinity).")
    if peak(samples) > MAX_SAMPLE:
        raise AudioError(f"{name} holds samples of more than {MAX_SAMPLE:g} times full scale; it is damaged.")
