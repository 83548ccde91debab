"""Decoding of uploaded files in blocks, with bounded memory."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from dose import audio
from serving.limits import APIError
from serving.settings import AudioLimit

UPLOAD_NAME = "The upload"  # names the file in messages; the caller's own file name is never used
_MB = 2**20
_FLOAT32_BYTES = 4


def decode_blocks(file: BinaryIO, limit: AudioLimit) -> Iterator[np.ndarray]:
    """The audio as float32 blocks [C, N] at 44.1 kHz; one block is in memory at a time.

    Raises APIError (413) when more audio than `limit` was decoded, whatever length the header states, and
    AudioError for a file that is not audio.
    """
    file.seek(0)
    info = audio.probe(file, UPLOAD_NAME)
    # Both limits as seconds: the size is that of all channels at the file's own rate, before resampling.
    seconds_by_size = limit.decoded_mb * _MB / (_FLOAT32_BYTES * info.rate * info.channels)
    max_samples = int(min(limit.seconds, seconds_by_size) * audio.RATE) + 2  # the resampler may round up
    file.seek(0)
    total = 0
    for block in audio.stream(file, name=UPLOAD_NAME):
        total += block.shape[1]
        if total <= max_samples:
            yield block
        # Name the limit that was reached first, so that the user knows what to change.
        elif limit.seconds <= seconds_by_size:
            raise APIError(
                413,
                f"{UPLOAD_NAME} is longer than {limit.seconds:g} s; cut it, or send whole songs to /jobs.",
            )
        else:
            raise APIError(
                413,
                f"{UPLOAD_NAME} decodes to more than {limit.decoded_mb} MB; "
                "send it in stereo at 44.1 or 48 kHz.",
            )
