"""FFmpeg, through PyAV: decodes what libsndfile does not decode, or not to its end.

Only this module imports av, and only when a file needs it: a plain WAV is read without.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from dose.errors import AudioError

Array = npt.NDArray[np.float32]

# Demuxers that read only the file they are given. Playlists and scripts are left out: they name other files
# and addresses, which an uploaded file must not make the service open.
FORMATS = (
    "aac,ac3,adx,aiff,amr,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,rm,tak,truehd,tta,voc,w64,wav,wv,webm"
)
# Containers that store their length. FFmpeg estimates the length of the others, and of a truncated WMA, from
# the bit rate.
TRUSTED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wv", "tta", "ape", "caf")
FULL_SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "flt": 1.0, "dbl": 1.0}
SKIP_FRAMES = 1 << 16  # decoded at once when skipping
MAX_TRIM = 4096  # frames, see `_decode`


class _Nameless:
    """A file without a name, so that FFmpeg recognises it by content: a text called a.mp3 is not an MP3."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class Decoder:
    """A file's first sound stream, with the part of soundfile's interface that `dose.audio` uses."""

    def __init__(self, file: BinaryIO, name: str, stack: contextlib.ExitStack) -> None:
        """Raises ValueError for what FFmpeg cannot read and AudioError for a video without sound."""
        import av

        options = {"format_whitelist": FORMATS, "protocol_whitelist": "pipe"}
        try:
            self._container: Any = stack.enter_context(av.open(_Nameless(file), options=options))
            streams: Any = self._container.streams
        except av.error.FFmpegError as e:
            raise ValueError(str(e)) from e
        if not streams.audio:
            raise AudioError(f"{name} has no sound in it, only {_kinds(streams)}.")
        self._stream: Any = streams.best("audio") or streams.audio[0]
        context = self._stream.codec_context
        if context is None:
            raise ValueError("a codec that FFmpeg does not know")
        self._stream.thread_type = "NONE"
        self.samplerate, self.channels = int(context.sample_rate), int(context.layout.nb_channels)
        self.format = str(self._container.format.name)
        self._resamplers: dict[tuple[int, str], Any] = {}
        self._blocks = self._decode()
        self._buffer = np.zeros((0, self.channels), np.float32)
        self._decoded_frames, self._end = 0, self._declared_end()

    @property
    def frames(self) -> int:
        """Frames as declared or estimated; 0 if unknown."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return round(float(stream.duration * stream.time_base) * self.samplerate)
        return round((container.duration or 0) / 1e6 * self.samplerate)

    @property
    def declared(self) -> int | None:
        """`frames` where trustworthy; a container's length may be that of its video."""
        own = self._stream.duration is not None or len(self._container.streams) == 1
        return self.frames if own and self.format in TRUSTED else None

    def seek(self, frames: int) -> None:
        """Moves forward by decoding, which is exact in every format."""
        while frames > 0 and len(skipped := self.read(min(frames, SKIP_FRAMES))):
            frames -= len(skipped)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> Array:
        """The next float32 [n, C], n <= `frames`; none at the end."""
        blocks, total = [self._buffer], len(self._buffer)
        while total < frames and (block := next(self._blocks, None)) is not None:
            blocks.append(block)
            total += len(block)
        joined = np.concatenate(blocks)
        self._buffer = joined[frames:]
        return joined[:frames]

    def _declared_end(self) -> int | None:
        """The frame at which the sound ends within the last packet; MP4 stores it, decoders ignore it."""
        return self.frames if self.format.startswith("mov") and self._stream.duration else None

    def _decode(self) -> Iterator[Array]:
        """The stream's blocks [n, C]."""
        import av

        packets = self._container.demux(self._stream)
        while True:
            try:
                decoded = next(packets).decode()
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except av.error.FFmpegError:
                continue  # a damaged packet, or the seam of concatenated files: decoding goes on behind it
            for frame in decoded:
                block = self._samples(frame)
                # Padding at the end is cut. A declared end more than a packet before the real one is wrong
                # and ignored.
                position = self._decoded_frames
                if self._end is not None and self._end < position + len(block) <= self._end + MAX_TRIM:
                    block = block[: max(0, self._end - position)]
                self._decoded_frames += len(block)
                if len(block):
                    yield block

    def _samples(self, frame: Any) -> Array:
        """float32 [n, C] at the first frame's rate and channel count; concatenated files may change both."""
        channels = frame.layout.nb_channels
        samples = self._resampled(frame) if frame.sample_rate != self.samplerate else _to_float(frame)
        if channels == self.channels:
            return samples
        return np.repeat(samples.mean(axis=1, keepdims=True), self.channels, axis=1)

    def _resampled(self, frame: Any) -> Array:
        import av

        key = (frame.sample_rate, frame.layout.name)
        if key not in self._resamplers:
            self._resamplers[key] = av.AudioResampler("fltp", frame.layout.name, self.samplerate)
        frame.pts = None  # a second file's time stamps begin at 0 again, which the resampler would refuse
        blocks = [_to_float(one) for one in self._resamplers[key].resample(frame)]
        return np.concatenate(blocks) if blocks else np.zeros((0, frame.layout.nb_channels), np.float32)


def _to_float(frame: Any) -> Array:
    """float32 [n, C], full scale 1.0, as libsndfile converts."""
    kind, raw = frame.format.name.removesuffix("p"), frame.to_ndarray()
    raw = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    samples: Array = raw.astype(np.float32) - 128 if kind == "u8" else raw.astype(np.float32)
    return samples / np.float32(FULL_SCALE[kind])


def _kinds(streams: Any) -> str:
    return " and ".join(sorted({str(stream.type) for stream in streams})) or "nothing that can be decoded"
