"""A kit with named, tagged sounds from extracted hits, as the command line and the service export it."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from dose.files import printable
from dose.kits.drumkit import TITLES, DrumKit, Layering, Pad, Sound
from dose.kits.riff import Bits, Tags, wav
from dose.transcription.hits import Transcription


class ExtractedHit(Protocol):
    """What the tags need of a hit, such as `dose.extract.result.OneShot`."""

    @property
    def confidence(self) -> float: ...
    @property
    def time(self) -> float: ...
    @property
    def seed(self) -> int: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class RenderedOneShot:
    """A hit and its postprocessed sound, float32 [N] or [C, N] at the kit's rate."""

    hit: ExtractedHit
    audio: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a kit comes from, stored in the tags of every WAV."""

    source: str  # the mix's name
    version: str  # of the models
    data_id: str  # of the data they were trained on
    seed: int = 0  # of the whole extraction; with it and the source the kit can be made again


def build(
    name: str,
    one_shots: Mapping[str, Sequence[RenderedOneShot]],
    origin: Origin,
    *,
    rate: int,
    bits: Bits = 16,
    layering: Layering = "round-robin",
    transcription: Transcription | None = None,
) -> DrumKit:
    """The kit of `one_shots`: drum -> candidates, best first. Raises DoseError when it has no sound.

    `transcription`, of the same song, gives the kit its MIDI files.
    """
    pads = tuple(
        Pad(
            drum=drum,
            sounds=tuple(
                _sound(drum, rank, len(candidates), one_shot, origin, rate, bits)
                for rank, one_shot in enumerate(candidates, 1)
            ),
        )
        for drum, candidates in one_shots.items()
    )
    comment = f"Drum one-shots extracted from {origin.source} by DOSE, models {origin.version}"
    return DrumKit(
        name=name,
        pads=pads,
        rate=rate,
        bits=bits,
        layering=layering,
        comment=comment,
        transcription=transcription,
    )


def file_stem(drum: str, rank: int, count: int, confidence: float) -> str:
    """kick for a single candidate, else kick_01_0.87: the rank comes first, so that names sort by it."""
    return drum if count == 1 else f"{drum}_{rank:02d}_{confidence:.2f}"


def _sound(
    drum: str, rank: int, count: int, one_shot: RenderedOneShot, origin: Origin, rate: int, bits: Bits
) -> Sound:
    hit = one_shot.hit
    tags = Tags(
        title=f"{TITLES[drum]} {rank}" if count > 1 else TITLES[drum],
        comment=(
            # Enough to make the same hit again: the extraction's seed, and that of the sample.
            f"confidence {hit.confidence:.2f}; seed {origin.seed} (draw {hit.seed}); from {hit.time:.3f} s; "
            f"data {origin.data_id}; models {origin.version}"
        ),
        software="DOSE",
        source=printable(origin.source),
        reference=origin.version,
        # bext counts the position in samples of the written file's rate.
        position=round(hit.time * rate),
    )
    stem = file_stem(drum, rank, count, hit.confidence)
    return Sound(name=stem, audio=one_shot.audio, wav=wav(one_shot.audio, rate, bits, tags))
