"""Sound files and bytes from arrays."""

import io
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from dose.audio.processing import RATE, Array
from dose.files import atomic

Subtype = Literal["PCM_16", "PCM_24", "FLOAT"]


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
