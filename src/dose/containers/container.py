"""The result of examining a sound file: which decoder gives all of it, and how many frames there are."""

import dataclasses
from typing import BinaryIO


@dataclasses.dataclass(frozen=True, kw_only=True)
class Container:
    """How a file is to be decoded. A frame is one sample of every channel."""

    libsndfile: bool = True  # libsndfile decodes all of it, as it stands or through `repaired`
    examined: bool = False  # `frames` and `declared` are known; else libsndfile's own count is used
    repaired: BinaryIO | None = None  # the same sound behind a correct header, for the decoder
    mpeg: bool = False  # libsndfile decodes it with libmpg123
    frames: int | None = None  # counted; None: not known without decoding
    declared: int | None = None  # frames by a trustworthy header; more than `frames` if truncated
    fraction: float = 1.0  # present bytes / declared bytes, where frames cannot be counted
    parts: tuple[BinaryIO, ...] = ()  # concatenated files, each to be decoded by itself
    truncated: bool = False  # it ends within a frame, and does not declare its length
