"""Data for calibration: features of held-out mixes, with and without each drum, and their outcomes.

Every mix of the paper's distribution is used as it is and once more per drum with that drum's stem
subtracted, so that absent drums are in the data. Whether a drum is detected rests on mixes of the realistic
distribution too: without drums, with a single one, with all of a kit but some. A candidate counts as correct
when the drum is in the mix and the candidate is nearer to the reference one-shot than half of the other
mixes' one-shots of that drum are (`distance`).
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from dose.audio import RATE
from dose.drums import DRUMS
from dose.dsp.mel import HOP, mel_magnitudes
from dose.extract.extractor import Extractor
from dose.extract.postprocess import attack_start
from dose.transcription.hits import CLASSES_OF

if TYPE_CHECKING:
    from dose.rmod.config import RmodConfig
    from dose.rmod.realistic.config import RealisticConfig
    from dose.sources.library import SampleLibrary

# Chosen by hand.
NEARER_THAN = 0.5  # share of the other one-shots that are farther from the reference than a correct candidate
# Of the total weight. Chosen on 240 realistic mixes: at .2 one of four absent drums was reported, at .5 one
# of ten, but then one of seven that were there was not.
ABSENT_SHARE = 0.4
DRUM_FREE, SINGLE_DRUM = 0.3, 0.4  # of the realistic mixes: without drums; of the others, with one track
FLOOR_DB = -40.0  # of a log spectrogram, below its loudest band and frame
COMPARED_SECONDS = 0.5  # of a one-shot, from its attack


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A held-out mix with its references."""

    mix: np.ndarray  # float32 [C, N] at 44.1 kHz
    stems: dict[str, np.ndarray]  # drum -> its part of the mix, [C, N]
    shots: dict[str, np.ndarray]  # drum -> reference one-shot [N]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """One drum's features [n, F], outcomes [n] of 0 and 1, and the mix [n] that each row comes from."""

    x: np.ndarray
    detected: np.ndarray  # the drum is in the mix
    correct: np.ndarray  # and the candidate is correct
    mix: np.ndarray  # rows of one mix stay in one fold of cross-validation

    @property
    def weight(self) -> np.ndarray:
        """Weight of each row, [n]: each mix counts twice, with and without the drum.

        The candidates of one mix are similar, so together they count as one case.
        """
        # Each mix has two cases of total weight 2, split by ABSENT_SHARE.
        share = 2 * np.where(self.detected > 0, 1 - ABSENT_SHARE, ABSENT_SHARE)
        rows_of_case = [
            ((self.mix == m) & (self.detected == d)).sum()
            for m, d in zip(self.mix, self.detected, strict=True)
        ]
        weight: np.ndarray = share / np.array(rows_of_case)
        return weight

    def rows(self, keep: np.ndarray) -> "Table":
        """The rows where `keep` [n] is true."""
        return Table(
            x=self.x[keep], detected=self.detected[keep], correct=self.correct[keep], mix=self.mix[keep]
        )


@dataclasses.dataclass(kw_only=True)
class _Rows:
    """A table while it is gathered."""

    features: list[np.ndarray] = dataclasses.field(default_factory=list)
    detected: list[float] = dataclasses.field(default_factory=list)
    correct: list[float] = dataclasses.field(default_factory=list)
    mix: list[int] = dataclasses.field(default_factory=list)

    def add(self, features: np.ndarray, detected: bool, correct: bool, mix: int) -> None:
        self.features.append(features)
        self.detected.append(float(detected))
        self.correct.append(float(correct))
        self.mix.append(mix)

    def table(self) -> Table:
        return Table(
            x=np.stack(self.features),
            detected=np.array(self.detected),
            correct=np.array(self.correct),
            mix=np.array(self.mix),
        )


def candidate_tables(
    extractor: Extractor,
    examples: Sequence[Example],
    drums: Sequence[str],
    progress: Callable[[int], None],
) -> dict[str, Table]:
    """Every candidate of each example with and without each drum; drums without a candidate are left out."""
    gathered = {drum: _Rows() for drum in drums}
    references = {drum: _references([e.shots[drum] for e in examples]) for drum in drums}
    for i, example in enumerate(examples):
        for drum in drums:
            reference = references[drum][i]
            for present in (True, False):
                mix = example.mix if present else example.mix - example.stems[drum]
                for candidate in extractor.candidates(mix, drum):
                    # Compared with the reference even where the drum is absent; the outcome is then 0.
                    near = distance(log_spectrogram(candidate.shot), reference.spectrogram) <= reference.limit
                    gathered[drum].add(candidate.features, present, present and near, i)
        progress(i + 1)
    return {drum: rows.table() for drum, rows in gathered.items() if rows.features}


def segment_tables(
    extractor: Extractor, examples: Iterable[Example], drums: Sequence[str]
) -> dict[str, Table]:
    """The features of each example's segments, with and without each drum; nothing is generated."""
    gathered = {drum: _Rows() for drum in drums}
    for i, example in enumerate(examples):
        # All drums of the complete mix share one scan; each subtraction needs its own.
        complete = extractor.segment_features(example.mix, drums)
        for drum in drums:
            lacking = extractor.segment_features(example.mix - example.stems[drum], (drum,))
            gathered[drum].add(complete[drum], True, False, i)
            gathered[drum].add(lacking[drum], False, False, i)
    return {drum: rows.table() for drum, rows in gathered.items()}


def presence_tables(
    extractor: Extractor,
    config: "RealisticConfig",
    library: "SampleLibrary",
    drums: Sequence[str],
    count: int,
    first_mix: int,
    split: str = "val",
) -> dict[str, Table]:
    """The segments' features of `count` realistic mixes, and of each without each drum that is in it.

    Rows are numbered by mix, from `first_mix` on.
    """
    from dose.rmod.realistic.mix import draw, render

    # More mixes that lack drums than music has: false drums are what this is fitted against.
    config = dataclasses.replace(config, drum_free=DRUM_FREE, single_drum=SINGLE_DRUM)
    gathered = {drum: _Rows() for drum in drums}
    for index in range(count):
        spec = draw(config, library, split, index)
        whole = render(spec, library)
        features = extractor.segment_features(whole.audio[None], drums)
        for drum in drums:
            there = any(whole.hits.get(cls) for cls in CLASSES_OF[drum])
            gathered[drum].add(features[drum], there, False, first_mix + index)
            # The same music without the drum: what sounds like it is most often another drum.
            if there:
                lacking = render(spec, library, without=CLASSES_OF[drum]).audio[None]
                row = extractor.segment_features(lacking, (drum,))[drum]
                gathered[drum].add(row, False, False, first_mix + index)
    return {drum: rows.table() for drum, rows in gathered.items()}


def joined(one: Table, other: Table) -> Table:
    """The rows of both tables."""
    names = [field.name for field in dataclasses.fields(Table)]
    return Table(**{name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names})


def rmod_examples(
    config: "RmodConfig", library: "SampleLibrary", count: int, start: int = 0, split: str = "val"
) -> Iterable[Example]:
    """Mixes start..start+count of one of RMOD's splits."""
    from dose.rmod.dataset import stream

    for item in stream(config, library, split, start, start + count, stems=True):
        assert item.stems is not None
        stems = {drum: item.stems[drum] for drum in DRUMS}
        yield Example(mix=item.mix, stems=stems, shots=item.shots)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Root mean square difference in dB over bands and time of two log spectrograms."""
    return float(np.sqrt(np.mean((a - b) ** 2)))


def log_spectrogram(shot: np.ndarray) -> np.ndarray:
    """Mel levels in dB [BANDS, T] of the first COMPARED_SECONDS from the attack, in FLOOR_DB..0: no gain."""
    frames = int(COMPARED_SECONDS * RATE) // HOP
    # Trimmed at the attack and padded to one length, so that frames correspond. [BANDS, T]
    levels = mel_magnitudes(np.pad(shot[attack_start(shot) :], (0, frames * HOP))[: frames * HOP])
    db = 20 * np.log10(levels / max(float(levels.max()), 1e-9) + 1e-9)
    levels_db: np.ndarray = np.maximum(db, FLOOR_DB)
    return levels_db


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Reference:
    spectrogram: np.ndarray  # log spectrogram of the reference one-shot
    limit: float  # dB: candidates within this distance are correct


def _references(shots: Sequence[np.ndarray]) -> list[_Reference]:
    """For each reference one-shot, the distance within which NEARER_THAN of the others do not lie."""
    spectrograms = [log_spectrogram(shot) for shot in shots]
    references = []
    for i, own in enumerate(spectrograms):
        others = [distance(own, other) for j, other in enumerate(spectrograms) if j != i]
        limit = float(np.quantile(others, 1 - NEARER_THAN)) if others else 0.0
        references.append(_Reference(spectrogram=own, limit=limit))
    return references
