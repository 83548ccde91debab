"""FFmpeg, through PyAV: the decoder of what libsndfile does not decode, or not to its end.

Only this module imports av, and only when a file needs it: a plain WAV is read without.
"""

import contextlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from dose.errors import AudioError

# Demuxers that read the file they are given and nothing else: playlists and scripts name other files, and
# addresses.
FORMATS = (
    "aac,ac3,adx,aiff,amr,ape,asf,au,avi,caf,dts,dtshd,eac3,flac,flv,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,"
    "mpegts,ogg,rm,tak,truehd,tta,voc,w64,wav,wv,webm"
)
# Containers that say how long they are. What others say is a guess from the bit rate; of a WMA that is cut,
# FFmpeg guesses too.
TRUSTED = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "wv", "tta", "ape", "caf")
SCALE = {"u8": 2**7, "s16": 2**15, "s32": 2**31, "flt": 1.0, "dbl": 1.0}


class _Nameless:
    """A file that FFmpeg judges by its bytes: by its name, a letter called a.mp3 would pass for one."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


class Decoder:
    """A file's first sound stream, with the part of soundfile's interface that `dose.audio` uses."""

    def __init__(self, file: BinaryIO, name: str, stack: contextlib.ExitStack) -> None:
        """Raises ValueError for what FFmpeg cannot read and AudioError for a film without sound."""
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
        self.format = self._container.format.name
        self._resamplers: dict[tuple[int, str], av.AudioResampler] = {}
        self._frames = self._decoded()
        self._rest = np.zeros((0, self.channels), np.float32)
        self._given, self._end = 0, self._last_sample()

    @property
    def frames(self) -> int:
        """As the file says, or guesses; 0 where it says nothing."""
        stream, container = self._stream, self._container
        if stream.duration is not None and stream.time_base is not None:
            return round(float(stream.duration * stream.time_base) * self.samplerate)
        return round((container.duration or 0) / 1e6 * self.samplerate)

    @property
    def promised(self) -> int | None:
        """The same, where it can be believed: that of a film may be its picture's."""
        own = self._stream.duration is not None or len(self._container.streams) == 1
        return self.frames if own and self.format in TRUSTED else None

    def seek(self, frames: int) -> None:
        """Forward from the start, by decoding: exact in every format."""
        while frames > 0 and len(gone := self.read(min(frames, 1 << 16))):
            frames -= len(gone)

    def read(self, frames: int, dtype: str = "float32", always_2d: bool = True) -> np.ndarray:
        """The next float32 [n, C], n <= `frames`; none at the end."""
        parts, held = [self._rest], len(self._rest)
        while held < frames and (block := next(self._frames, None)) is not None:
            parts.append(block)
            held += len(block)
        whole = np.concatenate(parts)
        self._rest = whole[frames:]
        return whole[:frames]

    def _last_sample(self) -> int | None:
        """MP4 says where the sound ends within the last packet, which the decoder does not heed."""
        return self.frames if self.format.startswith("mov") and self._stream.duration else None

    def _decoded(self) -> Iterator[np.ndarray]:
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
                continue  # a damaged packet, or the seam of joined files: what follows is decoded
            for frame in decoded:
                block = self._samples(frame)
                # A moov that counts fewer samples than there are by more than a packet is not believed.
                if self._end is not None and self._end < self._given + len(block) <= self._end + 4096:
                    block = block[: max(0, self._end - self._given)]
                self._given += len(block)
                if len(block):
                    yield block

    def _samples(self, frame) -> np.ndarray:  # type: ignore[no-untyped-def]
        """float32 [n, C] at the first frame's rate and number of channels, which a joined file may leave."""
        channels = frame.layout.nb_channels
        raw = self._at_rate(frame) if frame.sample_rate != self.samplerate else _floats(frame)
        if channels == self.channels:
            return raw
        return np.repeat(raw.mean(axis=1, keepdims=True), self.channels, axis=1)

    def _at_rate(self, frame) -> np.ndarray:  # type: ignore[no-untyped-def]
        import av

        key = (frame.sample_rate, frame.layout.name)
        if key not in self._resamplers:
            self._resamplers[key] = av.AudioResampler("fltp", frame.layout.name, self.samplerate)
        frame.pts = None  # those of the second file begin anew
        parts = [_floats(one) for one in self._resamplers[key].resample(frame)]
        return np.concatenate(parts) if parts else np.zeros((0, frame.layout.nb_channels), np.float32)


def _floats(frame) -> np.ndarray:  # type: ignore[no-untyped-def]
    """float32 [n, C], full scale 1.0, as libsndfile has it."""
    kind, raw = frame.format.name.removesuffix("p"), frame.to_ndarray()
    raw = raw.T if frame.format.is_planar else raw.reshape(-1, frame.layout.nb_channels)
    raw = raw.astype(np.float32) - 128 if kind == "u8" else raw.astype(np.float32)
    return raw / np.float32(SCALE[kind])


def _kinds(streams) -> str:  # type: ignore[no-untyped-def]
    return " and ".join(sorted({str(stream.type) for stream in streams})) or "nothing that can be decoded"
