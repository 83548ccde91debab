"""Is a drum detected in a mix? Realistic mixes, each once whole and once without each of its drums."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dose.drums import DRUMS
from dose.evaluate.transcription.scoring import RESAMPLES, Scores
from dose.metrics.bootstrap import mean_estimate, resamples
from dose.transcription.hits import CLASSES_OF

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

SECONDS = 8.0  # of a mix
LEAST_HITS = 2  # audible ones: a drum with fewer is in no test


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresenceItem:
    """A mix, and what is known of some drums: whether they are in it."""

    audio: np.ndarray  # float32 [N], mono
    present: Mapping[str, bool]  # drum -> in the mix


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresenceSystem:
    """A named way from audio (float32 [N], mono, 44.1 kHz) and drums to those that it detects."""

    name: str
    detect: Callable[[np.ndarray, Sequence[str]], frozenset[str]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PresenceAnswer:
    """What a system reports of one drum in one mix."""

    drum: str
    present: bool
    reported: bool


def extraction(bundle: Path | None = None) -> PresenceSystem:
    """What `dose extract` says of a recording with a bundle, by default the shipped one. Raises DoseError."""
    from dose.extract.extractor import Extractor

    extractor = Extractor(bundle)
    return PresenceSystem(
        name="DOSE extraction", detect=lambda mono, drums: extractor.detected(mono[None], drums)
    )


def items(library: "SampleLibrary", split: str, count: int) -> Iterator[PresenceItem]:
    """`count` mixes with instruments, each followed by itself without each drum that is audible in it."""
    from dose.rmod.realistic.config import RealisticConfig
    from dose.rmod.realistic.mix import draw, render

    config = RealisticConfig(seconds=SECONDS, bare=0.0, drum_free=0.0, single_drum=0.0)
    for index in range(count):
        spec = draw(config, library, split, index)
        whole = render(spec, library)
        audible = {d: sum(sum(whole.audible.get(c, ())) for c in CLASSES_OF[d]) for d in DRUMS}
        there = [drum for drum in DRUMS if audible[drum] >= LEAST_HITS]
        yield PresenceItem(audio=whole.audio, present=dict.fromkeys(there, True))
        for drum in there:
            lacking = render(spec, library, without=CLASSES_OF[drum])
            yield PresenceItem(audio=lacking.audio, present={drum: False})


def answers(system: PresenceSystem, item: PresenceItem) -> list[PresenceAnswer]:
    """One per drum of which the item knows."""
    reported = system.detect(item.audio, tuple(item.present)) if item.present else frozenset()
    return [
        PresenceAnswer(drum=d, present=there, reported=d in reported) for d, there in item.present.items()
    ]


def summarise(given: Sequence[PresenceAnswer], seed: int = 0) -> Scores:
    """Per drum: share of mixes in which it is detected, with it and without; "all": right answers."""
    scores: Scores = {}
    right = np.array([float(a.reported == a.present) for a in given])
    if (figure := mean_estimate(right, resamples(len(right), RESAMPLES, seed))) is not None:
        scores["all"] = {"right": figure}
    for drum in DRUMS:
        figures = {}
        for name, present in (("detected_with", True), ("detected_without", False)):
            reported = np.array([float(a.reported) for a in given if a.drum == drum and a.present == present])
            if len(reported):
                figures[name] = mean_estimate(reported, resamples(len(reported), RESAMPLES, seed))
        scores[drum] = {name: figure for name, figure in figures.items() if figure is not None}
    return scores
