"""The promotion gate's input: an extractor's scores on held-out mixes, its cost, its behaviour faults.

The mixes are test items of RMOD beyond those that `dvc repro rmod` writes to disk, rendered when they are
needed: as many as the gate asks for, from clips on which no model was trained.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dose import audio, files
from dose.drums import DRUMS
from dose.metrics import mss
from dose.metrics.embeddings import Embedder
from dose.metrics.one_shots import SAMPLES, prepare
from dose.registry.behaviour import check
from dose.registry.gate import ModelScores
from dose.rmod.config import RmodConfig
from dose.sources.library import SampleLibrary

BATCH = 8  # mixes in memory and per call of the extractor
EXAMPLES = 2  # mixes whose one-shots a report plays
REFERENCE = "reference"  # folder of the reference one-shots, beside those of the models


class AnyExtractor(Protocol):
    """The part of `dose.extract.Extractor` that scoring needs."""

    @property
    def drums(self) -> tuple[str, ...]: ...

    def extract_consensus(self, mixes: Sequence[np.ndarray], drum: str, *, samples: int) -> np.ndarray: ...

    def extract(self, sound: np.ndarray, rate: int, *, drums: Sequence[str], seed: int = 0) -> Any: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutItem:
    """A mix with its reference one-shots."""

    mix: np.ndarray  # float32 [2, N]
    shots: dict[str, np.ndarray]  # drum -> float32 [44100]


Items = Callable[[], Iterator[HeldOutItem]]  # the same items at every call


def score(
    extractor: AnyExtractor, items: Items, embedder: Embedder, sizes_mb: dict[str, float], samples: int
) -> tuple[dict[str, ModelScores], dict[str, np.ndarray]]:
    """Drum -> scores over all items, and drum -> embeddings [n, W, D] of the reference one-shots.

    A one-shot is selected from `samples` samples, as it is for users. Scores and references come from one
    pass, because rendering the items takes most of the time.
    """
    distances: dict[str, list[np.ndarray]] = {drum: [] for drum in extractor.drums}
    embedded: dict[str, list[np.ndarray]] = {drum: [] for drum in extractor.drums}
    references: dict[str, list[np.ndarray]] = {drum: [] for drum in extractor.drums}
    seconds: dict[str, list[float]] = {drum: [] for drum in extractor.drums}
    first_mix = None
    for batch in batches(items()):
        # The behaviour checks need one mix; any will do.
        first_mix = batch[0].mix if first_mix is None else first_mix
        for drum in extractor.drums:
            start = time.perf_counter()
            # Timed alone, without rendering and metrics.
            raw = extractor.extract_consensus([item.mix for item in batch], drum, samples=samples)
            seconds[drum].append((time.perf_counter() - start) / len(batch))
            # Both are prepared alike, so that length and peak do not count.
            shots = np.stack([prepare(shot, drum) for shot in raw])  # [b, 44100]
            reference = np.stack([prepare(item.shots[drum], drum) for item in batch])
            distances[drum].append(mss.mss(shots, reference))
            embedded[drum].append(embedder.embed(shots))
            references[drum].append(embedder.embed(reference))
    faults = check(extractor, first_mix, extractor.drums) if first_mix is not None else {}
    scores = {
        drum: ModelScores(
            mss=np.concatenate(distances[drum]),
            embeddings=np.concatenate(embedded[drum]),
            seconds=float(np.median(seconds[drum])),  # robust against other load on the machine
            size_mb=sizes_mb[drum],
            faults=tuple(faults[drum]),
        )
        for drum in extractor.drums
    }
    return scores, {drum: np.concatenate(arrays) for drum, arrays in references.items()}


def write_examples(
    folder: Path, extractor: AnyExtractor, items: Items, samples: int, count: int = EXAMPLES
) -> None:
    """One-shots of the first mixes as <item>-<drum>.flac; mixes and reference one-shots in ../reference."""
    with files.atomic(folder) as own, files.atomic(folder.parent / REFERENCE) as reference:
        own.mkdir()
        reference.mkdir()
        for i, item in enumerate(itertools.islice(items(), count), 1):
            audio.write(reference / f"{i}-mix.flac", item.mix)
            for drum in extractor.drums:
                shot = extractor.extract_consensus([item.mix], drum, samples=samples)[0]
                audio.write(own / f"{i}-{drum}.flac", shot)
                audio.write(reference / f"{i}-{drum}.flac", item.shots[drum])


def batches(items: Iterator[HeldOutItem]) -> Iterator[list[HeldOutItem]]:
    while batch := list(itertools.islice(items, BATCH)):
        yield batch


def rendered(rmod: RmodConfig, library: SampleLibrary, count: int) -> Items:
    """`count` test items of RMOD that are not on disk."""
    from dose.rmod.dataset import stream

    def items() -> Iterator[HeldOutItem]:
        for item in stream(rmod, library, "test", rmod.test, rmod.test + count):
            yield HeldOutItem(mix=item.mix, shots={d: item.shots[d][:SAMPLES] for d in DRUMS})

    return items


def sizes_mb(bundle: Path, drums: tuple[str, ...]) -> dict[str, float]:
    """The size of each drum's files in a bundle."""
    return {d: sum(p.stat().st_size for p in (bundle / d).rglob("*") if p.is_file()) / 1e6 for d in drums}


def save(path: Path, scores: dict[str, ModelScores]) -> None:
    """Writes scores for a later start, whole or not at all."""
    arrays: dict[str, Any] = {}
    for drum, s in scores.items():
        # `broken` holds the faults: the name is part of the file format.
        arrays |= {f"{drum}.mss": s.mss, f"{drum}.embeddings": s.embeddings, f"{drum}.broken": list(s.faults)}
        arrays[f"{drum}.cost"] = [s.seconds, s.size_mb]
    with files.atomic(path) as beside:
        np.savez(beside, **arrays)


def load(path: Path) -> dict[str, ModelScores]:
    with np.load(path) as z:
        drums = sorted({name.partition(".")[0] for name in z.files}, key=DRUMS.index)
        return {
            d: ModelScores(
                mss=z[f"{d}.mss"],
                embeddings=z[f"{d}.embeddings"],
                seconds=float(z[f"{d}.cost"][0]),
                size_mb=float(z[f"{d}.cost"][1]),
                faults=tuple(str(x) for x in z[f"{d}.broken"]),
            )
            for d in drums
        }
