"""Training data of the transcription: features and hits of mixes, rendered once, in shards.

Mixes come from both distributions of RMOD. Shard i is a pure function of config, library and i; a run that
was killed renders only the shards that are missing.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dose import audio, files
from dose.audio import RATE
from dose.cluster import map_shards
from dose.rmod import build
from dose.rmod.config import RmodConfig
from dose.rmod.draw import draw as draw_paper
from dose.rmod.realistic.config import RealisticConfig
from dose.rmod.realistic.mix import draw, render
from dose.rmod.realistic_items import evenly_spread, realistic_id
from dose.rmod.render import render as render_paper
from dose.transcription.front_end import log_band_energies
from dose.transcription.hits import HIT_CLASSES

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

SHARD = 200  # mixes: a shard takes some ten seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotatedMix:
    """A mix whose hits are known."""

    audio: np.ndarray  # float32 [N], mono, 44.1 kHz
    hits: dict[str, tuple[tuple[float, int], ...]]  # of HIT_CLASSES -> (seconds, velocity), rising
    audible: dict[str, tuple[bool, ...]] | None = None  # of HIT_CLASSES -> of each hit; None: all are


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shard:
    """Features float16 [n, BANDS, T], and the hits of all mixes as rows."""

    features: np.ndarray
    mix: np.ndarray  # int32 [H]: index in the shard
    cls: np.ndarray  # int8 [H]: index in HIT_CLASSES
    seconds: np.ndarray  # float32 [H]
    velocity: np.ndarray  # uint8 [H]
    audible: np.ndarray  # bool [H]: whether the hit is audible in its mix


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixSource:
    """Where mixes come from: every `1 / paper_share`-th from the paper's distribution."""

    rmod: RmodConfig
    realistic: RealisticConfig
    paper_share: float


def data_key(source: MixSource, library: "SampleLibrary") -> str:
    """16 hex digits that change whenever a shard may: with settings, library or the code that makes mixes."""
    makers = (Path(__file__), Path(__file__).with_name("front_end.py"))
    return files.hash_json(
        {
            "paper": build.data_id(source.rmod, library),
            "realistic": realistic_id(source.realistic, library),
            "paper_share": source.paper_share,
            "code": [files.sha256(path) for path in makers],
        }
    )


def mixes(
    source: MixSource, library: "SampleLibrary", split: str, start: int, stop: int
) -> Iterator[AnnotatedMix]:
    """Mixes start..stop of a split."""
    for index in range(start, stop):
        if evenly_spread(index, source.paper_share):
            yield paper_mix(source, library, split, index)
        else:
            mix = render(draw(source.realistic, library, split, index), library)
            yield AnnotatedMix(
                audio=mix.audio,
                hits={c: mix.hits.get(c, ()) for c in HIT_CLASSES},
                audible={c: mix.audible.get(c, ()) for c in HIT_CLASSES},
            )


def paper_mix(source: MixSource, library: "SampleLibrary", split: str, index: int) -> AnnotatedMix:
    """A mix of the paper's distribution, padded to the length of the realistic ones."""
    spec = draw_paper(source.rmod, library, split, index)
    sound = audio.downmix(render_paper(spec, library, source.rmod).mix)
    hits: dict[str, tuple[tuple[float, int], ...]] = dict.fromkeys(HIT_CLASSES, ())
    for name, drum in spec.drums.items():
        pairs = tuple((o / RATE, v) for o, v in zip(drum.onsets, drum.velocities, strict=True))
        # Its hi-hats may be layered of an open and a closed one: open decides, since it is what rings.
        opened = any(layer.variant in ("open", "half-open") for layer in drum.layers)
        hits[name if name != "hihat" else "open_hihat" if opened else "closed_hihat"] = pairs
    return AnnotatedMix(audio=audio.fit_length(sound, int(source.realistic.seconds * RATE)), hits=hits)


def write_shards(
    source: MixSource, library: "SampleLibrary", split: str, count: int, folder: Path, *, workers: int
) -> list[Path]:
    """Renders `count` mixes into `folder`; gives the shards in order."""
    starts = range(0, count, SHARD)
    paths = [folder / f"{split}-{start:07d}.npz" for start in starts]
    todo = [(p, s, min(s + SHARD, count)) for p, s in zip(paths, starts, strict=True) if not p.is_file()]
    if todo:
        job = functools.partial(_write_shard, source, library, split)
        for _ in map_shards(job, todo, workers=min(workers, len(todo)), describe="transcription: mixes"):
            pass
    return paths


def _write_shard(
    source: MixSource, library: "SampleLibrary", split: str, shard: tuple[Path, int, int]
) -> None:
    path, start, stop = shard
    features, rows = [], []
    with torch.inference_mode():
        for i, mix in enumerate(mixes(source, library, split, start, stop)):
            features.append(log_band_energies(torch.from_numpy(mix.audio)[None])[0].half().numpy())
            for c, name in enumerate(HIT_CLASSES):
                audible = mix.audible[name] if mix.audible else (True,) * len(mix.hits[name])
                rows += [(i, c, s, v, h) for (s, v), h in zip(mix.hits[name], audible, strict=True)]
    table = np.array(rows, np.float64).reshape(-1, 5)
    with files.atomic(path) as beside, open(beside, "wb") as file:
        np.savez(
            file,
            features=np.stack(features),
            mix=table[:, 0].astype(np.int32),
            cls=table[:, 1].astype(np.int8),
            seconds=table[:, 2].astype(np.float32),
            velocity=table[:, 3].astype(np.uint8),
            audible=table[:, 4].astype(bool),
        )


def read_shards(paths: Sequence[Path]) -> Shard:
    """All shards as one."""
    parts = [np.load(path) for path in paths]
    counts = [len(p["features"]) for p in parts]
    offsets = np.cumsum([0, *counts[:-1]])
    first = parts[0]["features"]
    features = np.empty((sum(counts), *first.shape[1:]), np.float16)
    for part, offset, count in zip(parts, offsets, counts, strict=True):
        features[offset : offset + count] = part["features"]
    return Shard(
        features=features,
        mix=np.concatenate([p["mix"] + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32),
        cls=np.concatenate([p["cls"] for p in parts]),
        seconds=np.concatenate([p["seconds"] for p in parts]),
        velocity=np.concatenate([p["velocity"] for p in parts]),
        audible=np.concatenate([p["audible"] for p in parts]),
    )
