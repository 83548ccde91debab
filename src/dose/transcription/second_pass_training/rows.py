"""Training data of the second pass: the candidates of annotated mixes with their outcomes, in shards."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dose import files
from dose.audio import RATE
from dose.cluster import map_shards
from dose.drums import MIX_SECONDS
from dose.rmod.realistic_items import evenly_spread
from dose.transcription.calibrate import TOLERANCE
from dose.transcription.data import AnnotatedMix, MixSource, mixes
from dose.transcription.hits import HIT_CLASSES
from dose.transcription.network import TranscriptionNetwork
from dose.transcription.second_pass.features import COUNT, features
from dose.transcription.transcribe import candidates

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

SHARD = 25  # mixes: a shard takes some ten seconds
SECONDS, SHORTEST = 12.0, 3.0  # of a mix; each is cut to a random length between
FIRST_MIX = 1_000_000  # of a split: the network was not trained on these mixes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rows:
    """n candidates, by class, of some mixes."""

    x: np.ndarray  # float32 [n, COUNT]
    cls: np.ndarray  # int8 [n]
    correct: np.ndarray  # bool [n]: a true hit of the class lies within 50 ms, and is no better candidate's
    counted: np.ndarray  # bool [n]: no inaudible hit lies there
    references: np.ndarray  # int64 [classes]: true hits of all the mixes


COLUMNS = ("x", "cls", "correct", "counted")  # of Rows, by candidate


def write_rows(
    net: TranscriptionNetwork,
    source: MixSource,
    library: "SampleLibrary",
    split: str,
    count: int,
    folder: Path,
    *,
    workers: int,
) -> list[Path]:
    """Makes the rows of `count` mixes in `folder`, but for the shards that are there; gives them in order."""
    starts = range(0, count, SHARD)
    paths = [folder / f"rows-{split}-{start:05d}.npz" for start in starts]
    todo = [(p, s, min(s + SHARD, count)) for p, s in zip(paths, starts, strict=True) if not p.is_file()]
    if todo:
        source = dataclasses.replace(source, realistic=dataclasses.replace(source.realistic, seconds=SECONDS))
        job = functools.partial(_write_shard, net, source, library, split)
        for _ in map_shards(job, todo, workers=min(workers, len(todo)), describe="second pass: mixes"):
            pass
    return paths


def read_rows(paths: Sequence[Path]) -> Rows:
    """All shards as one."""
    parts = [dict(np.load(path)) for path in paths]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}
    return Rows(**joined, references=sum(part["references"] for part in parts))


def _write_shard(
    net: TranscriptionNetwork,
    source: MixSource,
    library: "SampleLibrary",
    split: str,
    shard: tuple[Path, int, int],
) -> None:
    path, start, stop = shard
    start, stop = FIRST_MIX + start, FIRST_MIX + stop
    parts = []
    for index, mix in enumerate(mixes(source, library, split, start, stop), start=start):
        # A mix of the paper's distribution has 4 s and is padded.
        length = MIX_SECONDS if evenly_spread(index, source.paper_share) else _length(index)
        parts.append(rows_of(net, mix, length))
    columns: dict[str, Any] = {name: np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS}
    columns["references"] = sum(p.references for p in parts)
    with files.atomic(path) as beside, open(beside, "wb") as file:
        np.savez(file, **columns)


def _length(index: int) -> float:
    return float(np.random.default_rng(index).uniform(SHORTEST, SECONDS))


def rows_of(net: TranscriptionNetwork, mix: AnnotatedMix, seconds: float) -> Rows:
    """The candidates in the first `seconds` of a mix, with their outcomes."""
    found = candidates([mix.audio[None, : int(seconds * RATE)]], net)
    x, cls, correct, counted = [np.zeros((0, COUNT), np.float32)], [], [], []
    references = np.zeros(len(HIT_CLASSES), np.int64)
    for c, name in enumerate(HIT_CLASSES):
        times = np.array([s for s, _ in mix.hits[name]], np.float64)
        audible = np.array(mix.audible[name] if mix.audible else (True,) * len(times), bool)
        inside = times < seconds
        references[c] = inside.sum()
        own = found.cls == c
        taken = _taken(found.seconds[own], found.probability[own], times[inside])
        x.append(features(found, c))
        cls.append(np.full(own.sum(), c, np.int8))
        correct.append(taken >= 0)
        counted.append((taken < 0) | np.append(audible[inside], True)[taken])
    return Rows(
        x=np.concatenate(x),
        cls=np.concatenate(cls),
        correct=np.concatenate(correct),
        counted=np.concatenate(counted),
        references=references,
    )


def _taken(seconds: np.ndarray, probability: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Of each candidate the index of its true hit, -1 without one; the most probable ones choose first."""
    taken, free = np.full(len(seconds), -1), np.ones(len(times), bool)
    for i in np.argsort(-probability, kind="stable"):
        distance = np.where(free, np.abs(times - seconds[i]), np.inf)
        if len(times) and distance.min() <= TOLERANCE:
            taken[i] = int(distance.argmin())
            free[taken[i]] = False
    return taken
