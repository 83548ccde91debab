"""What the gate needs to know of a kit of models: its scores on the held-out mixes, its cost, its behaviour.

The mixes are test items of RMOD beyond those that `dvc repro rmod` writes to disk, rendered when they are
needed: as many as the gate asks for, from clips that no model was trained on.
"""

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from dose import audio, files
from dose.drums import DRUMS
from dose.metrics import mss
from dose.metrics.embeddings import Embedder
from dose.metrics.shots import SAMPLES, prepare
from dose.registry.behaviour import check
from dose.registry.gate import ModelScores

BATCH = 8  # mixes in memory
EXAMPLES = 2  # mixes whose sounds a report plays
TRUTH = "truth"  # their folder, beside those of the kits


class KitLike(Protocol):
    """What is used of `dose.extract.Extractor`."""

    @property
    def drums(self) -> tuple[str, ...]: ...

    def extract_consensus(self, mixes: Any, drum: str, *, samples: int) -> np.ndarray: ...

    def extract(self, sound: np.ndarray, rate: int, *, drums: Any, seed: int = 0) -> Any: ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutSet:
    """One held-out item."""

    mix: np.ndarray  # float32 [2, N]
    shots: dict[str, np.ndarray]  # the truth, [44100]


Items = Callable[[], Iterator[HeldOutSet]]  # the same ones at every call


def score(
    kit: KitLike, items: Items, embedder: Embedder, sizes: dict[str, float], draws: int
) -> tuple[dict[str, ModelScores], dict[str, np.ndarray]]:
    """Drum -> scores over all items, and drum -> the true one-shots' embeddings [n, W, D].

    A kit's answer is chosen among so many free draws, as it is for users; `sizes` are the models' in MB.
    Scores and truth come of one pass, because rendering the items is what takes time.
    """
    found: dict[str, list[np.ndarray]] = {drum: [] for drum in kit.drums}
    embedded: dict[str, list[np.ndarray]] = {drum: [] for drum in kit.drums}
    true: dict[str, list[np.ndarray]] = {drum: [] for drum in kit.drums}
    seconds: dict[str, list[float]] = {drum: [] for drum in kit.drums}
    first = None
    for batch in batches(items()):
        first = batch[0] if first is None else first
        for drum in kit.drums:
            start = time.perf_counter()
            raw = kit.extract_consensus([item.mix for item in batch], drum, samples=draws)
            seconds[drum].append((time.perf_counter() - start) / len(batch))
            shots = np.stack([prepare(shot, drum) for shot in raw])
            truth = np.stack([prepare(item.shots[drum], drum) for item in batch])
            found[drum].append(mss.mss(shots, truth))
            embedded[drum].append(embedder.embed(shots))
            true[drum].append(embedder.embed(truth))
    broken = check(kit, first.mix, kit.drums) if first is not None else {}
    scores = {
        drum: ModelScores(
            mss=np.concatenate(found[drum]),
            embeddings=np.concatenate(embedded[drum]),
            seconds=float(np.median(seconds[drum])),  # what else the machine does must not decide
            size_mb=sizes[drum],
            broken=tuple(broken[drum]),
        )
        for drum in kit.drums
    }
    return scores, {drum: np.concatenate(parts) for drum, parts in true.items()}


def write_examples(folder: Path, kit: KitLike, items: Items, draws: int, count: int = EXAMPLES) -> None:
    """What the kit makes of the first mixes, <item>-<drum>.flac; in ../truth the mixes and true one-shots."""
    with files.atomic(folder) as own, files.atomic(folder.parent / TRUTH) as truth:
        own.mkdir()
        truth.mkdir()
        for i, item in enumerate(itertools.islice(items(), count), 1):
            audio.write(truth / f"{i}-mix.flac", item.mix)
            for drum in kit.drums:
                shot = kit.extract_consensus([item.mix], drum, samples=draws)[0]
                audio.write(own / f"{i}-{drum}.flac", shot)
                audio.write(truth / f"{i}-{drum}.flac", item.shots[drum])


def batches(items: Iterator[HeldOutSet]) -> Iterator[list[HeldOutSet]]:
    batch: list[HeldOutSet] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def rendered(rmod: Any, library: Any, count: int) -> Items:
    """`count` test items of RMOD that are not on disk, drawn by the params `rmod` (an RmodConfig)."""
    from dose.rmod.dataset import stream

    def made() -> Iterator[HeldOutSet]:
        for item in stream(rmod, library, "test", rmod.test, rmod.test + count):
            yield HeldOutSet(mix=item.mix, shots={d: item.shots[d][:SAMPLES] for d in DRUMS})

    return made


def sizes(bundle: Path, drums: tuple[str, ...]) -> dict[str, float]:
    """MB of each drum's files in a bundle."""
    return {d: sum(p.stat().st_size for p in (bundle / d).rglob("*") if p.is_file()) / 1e6 for d in drums}


def save(path: Path, scores: dict[str, ModelScores]) -> None:
    """Keeps scores beside a run's report, whole or not at all."""
    arrays: dict[str, Any] = {}
    for drum, s in scores.items():
        arrays |= {f"{drum}.mss": s.mss, f"{drum}.embeddings": s.embeddings, f"{drum}.broken": list(s.broken)}
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
                broken=tuple(str(x) for x in z[f"{d}.broken"]),
            )
            for d in drums
        }
