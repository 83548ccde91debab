"""Named, tagged sounds out of extracted hits, for every way out of DOSE: command line and service."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from dose.files import printable
from dose.kits.drumkit import TITLES, DrumKit, Layering, Pad, Sound
from dose.kits.riff import Bits, Tags, wav


class Played(Protocol):
    """What is known of a hit; `dose.extract.result.Hit` is one."""

    @property
    def confidence(self) -> float: ...
    @property
    def time(self) -> float: ...
    @property
    def seed(self) -> int: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderedOneShot:
    """A hit and its finished sound, float32 [N] or [C, N] at the kit's rate."""

    hit: Played
    audio: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a kit comes from; it travels inside every WAV."""

    source: str  # the mix's name
    version: str  # of the models
    data_id: str  # of the data they were trained on
    seed: int = 0  # of the whole extraction; with it and the source the kit can be made again


def build(
    name: str,
    takes: Mapping[str, Sequence[RenderedOneShot]],
    origin: Origin,
    *,
    rate: int,
    bits: Bits = 16,
    layering: Layering = "round-robin",
) -> DrumKit:
    """A kit to write: drum -> takes, best first. Raises DoseError when there is not one sound."""
    pads = tuple(
        Pad(
            drum=drum,
            sounds=tuple(
                _sound(drum, rank, len(found), take, origin, rate, bits) for rank, take in enumerate(found, 1)
            ),
        )
        for drum, found in takes.items()
    )
    comment = f"Drum one-shots extracted from {origin.source} by DOSE, models {origin.version}"
    return DrumKit(name=name, pads=pads, rate=rate, bits=bits, layering=layering, comment=comment)


def file_stem(drum: str, rank: int, count: int, confidence: float) -> str:
    """kick for the only candidate, else kick_01_0.87: rank first, so that names sort by it."""
    return drum if count == 1 else f"{drum}_{rank:02d}_{confidence:.2f}"


def _sound(
    drum: str, rank: int, count: int, take: RenderedOneShot, origin: Origin, rate: int, bits: Bits
) -> Sound:
    hit = take.hit
    tags = Tags(
        title=f"{TITLES[drum]} {rank}" if count > 1 else TITLES[drum],
        comment=(
            f"confidence {hit.confidence:.2f}; seed {origin.seed} (draw {hit.seed}); from {hit.time:.3f} s; "
            f"data {origin.data_id}; models {origin.version}"
        ),
        software="DOSE",
        source=printable(origin.source),
        reference=origin.version,
        position=round(hit.time * rate),
    )
    stem = file_stem(drum, rank, count, hit.confidence)
    return Sound(name=stem, audio=take.audio, wav=wav(take.audio, rate, bits, tags))
