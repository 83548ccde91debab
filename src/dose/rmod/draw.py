"""Seed to mix specification: every parameter is a fixed function of one counter-based random number.

Blocks of specifications are drawn as arrays (a million take minutes, not hours); a single one is a block of
one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from dose.audio import RATE
from dose.drums import DRUMS, INSTRUMENTS, MIX_SECONDS
from dose.errors import MissingInputError
from dose.rmod.columns import Coded, Lists, Many, Maybe, Node, row
from dose.rmod.config import Midi, RmodConfig
from dose.rmod.draw_chain import draw_chain, draw_master
from dose.rmod.mix_spec import MixSpec
from dose.rmod.parameters import TrackUniforms
from dose.rmod.patterns import groove_pattern
from dose.rmod.rng import HITS, NAMED, ROWS, uniforms

if TYPE_CHECKING:
    from dose.sources.library import Clip, SampleLibrary

MIX = int(MIX_SECONDS * RATE)
PIECE, HALF = MIX, MIX // 2  # loops are cut to pieces of 4 s, or halves of them
SPECS_PER_BLOCK = 256  # specifications drawn at once on the way to single ones: a default, without a study


def draw(config: RmodConfig, library: "SampleLibrary", split: str, index: int) -> MixSpec:
    """Mix specification `index` of a split: a pure function of config, library index, split and index.

    Raises MissingInputError when the library lacks clips of a class in that split.
    """
    return next(draw_many(config, library, split, index, index + 1))


def draw_many(
    config: RmodConfig, library: "SampleLibrary", split: str, start: int, stop: int
) -> Iterator[MixSpec]:
    """Mix specifications start..stop, drawn a block at a time."""
    for first in range(start, stop, SPECS_PER_BLOCK):
        last = min(first + SPECS_PER_BLOCK, stop)
        block = draw_block(config, library, split, first, last)
        for b in range(last - first):
            yield MixSpec.from_dict(row(block, b))


def draw_block(
    config: RmodConfig, library: "SampleLibrary", split: str, start: int, stop: int
) -> dict[str, Node]:
    """Mix specifications start..stop as nested columns, one for each field of `MixSpec`."""
    if start < 0:
        raise ValueError(f"item {start} does not exist; items are counted from 0")
    u = uniforms(config.seed, split, start, stop)  # [B, tracks, WIDTH]
    tracks = {name: TrackUniforms(u[:, i]) for i, name in enumerate(ROWS)}
    count = stop - start
    clip_split = "test" if split == "groove" else split  # groove is test sounds in other patterns
    block: dict[str, Node] = {
        "seed": np.full(count, config.seed, np.int64),
        "split": Coded(np.zeros(count, np.int32), (split,)),
        "index": np.arange(start, stop, dtype=np.int64),
        "pattern": Coded(np.zeros(count, np.int32), ("rmod",)),
    }
    for name in DRUMS:
        block[name] = _drum(config, library, clip_split, name, tracks[name])
    for name in INSTRUMENTS:
        block[name] = _loop(config, library, clip_split, name, tracks[name])
    block["master"] = draw_master(config.master, tracks["master"])
    return _with_groove(config, block, u[:, ROWS.index("pattern")]) if split == "groove" else block


def _drum(config: RmodConfig, library: "SampleLibrary", split: str, name: str, u: TrackUniforms) -> Node:
    """The fields of `DrumSpec`: the layers of the one-shot, its augmentation, its hits and its chain."""
    # 1. One or two clips, never the same twice; on train, with a given share of recordings.
    clips = _clips(library, name, split)
    count = len(clips)
    if split == "train" and config.layering.recorded is not None:
        recorded = np.array([c.source != "procedural" for c in clips])
        first = _weighted(u["clip0"], recorded, config.layering.recorded)
        second = _weighted(u["clip1"], recorded, config.layering.recorded)
        second = np.where(second == first, (second + 1) % count, second)
    else:
        first = u.below("clip0", count)
        second = (first + 1 + u.below("clip1", max(count - 1, 1))) % count
    layered = u.happens("layered", config.layering.probability) & (count > 1)
    weights = np.array(config.layering.weights, np.float32)[u.below("weights", len(config.layering.weights))]

    # 2. The augmentation: speed of each layer, decay and tilt of their sum.
    augmentation = config.augmentation
    augmented = u.happens("augmented", augmentation.probability)

    def layer(codes: np.ndarray, weight: np.ndarray, semitones: str) -> Node:
        return {
            **_origin(clips, codes),
            "variant": Coded(codes, tuple(c.variant for c in clips)),
            "weight": weight,
            "semitones": np.where(augmented, u.real(semitones, augmentation.semitones), np.float32(0)),
        }

    low, high = np.log(augmentation.decay_seconds)
    layers = (
        layer(first, np.where(layered, weights[:, 0], np.float32(1)), "semitones0"),
        layer(second, weights[:, 1], "semitones1"),
    )
    return {
        "layers": Many(layers, 1 + layered),
        "decay_seconds": Maybe(augmented, np.exp(low + (high - low) * u["decay"]).astype(np.float32)),
        "tilt_db": np.where(augmented, u.real("tilt_db", augmentation.tilt_db), np.float32(0)),
        "tilt_hz": u.real("tilt_hz", augmentation.tilt_hz),
        # 3. Where it is hit, and the track's effects.
        **_hits(config.midi, name, u),
        "chain": draw_chain(config, config.tracks[name], u),
    }


def _origin(clips: "tuple[Clip, ...]", codes: np.ndarray) -> dict[str, Node]:
    """Clip id, kit and licence of the clips with indices `codes` [B]."""
    return {
        "clip": Coded(codes, tuple(c.id for c in clips)),
        "kit": Coded(codes, tuple(c.kit for c in clips)),
        "licence": Coded(codes, tuple(c.licence for c in clips)),
    }


def _weighted(u: np.ndarray, preferred: np.ndarray, share: float) -> np.ndarray:
    """Indices of clips [B] by uniform numbers u [B], where `preferred` (bool per clip) has the share `share`.

    Within the preferred clips, and within the others, all are equally likely. Where one of the two sets is
    empty, all indices come from the other.
    """
    inside, outside = np.flatnonzero(preferred), np.flatnonzero(~preferred)
    if not len(inside) or not len(outside):
        share = float(len(inside) > 0)
    order = np.concatenate([inside, outside])
    # Lower edges of the clips' intervals in [0, 1).
    edges = np.concatenate(
        [
            np.linspace(0, share, len(inside), endpoint=False),
            np.linspace(share, 1, len(outside), endpoint=False),
        ]
    )
    indices: np.ndarray = order[np.searchsorted(edges, u, side="right") - 1].astype(np.int32)
    return indices


def _hits(midi: Midi, name: str, u: TrackUniforms) -> dict[str, Node]:
    """Onsets on distinct grid points, uniform but for the least distance; normal velocities."""
    counts = u.whole("hits", midi.hits[name])  # [B]
    used = np.arange(HITS) < counts[:, None]  # [B, HITS]
    # Sorted uniform places on the grid without its gaps, to which the gaps are then added: hits keep their
    # distance without rejection sampling. Unused hits sort to the end.
    places = np.sort(np.where(used, u.u[:, NAMED : NAMED + HITS], 1.0), axis=1)
    free = midi.grid - (counts[:, None] - 1) * midi.gap
    points = np.floor(places * free) + midi.gap * np.arange(HITS)
    # The normal quantile of a uniform number is normal.
    velocities = midi.velocity_mean + midi.velocity_sd * ndtri(np.maximum(u.u[:, NAMED + HITS :], 1e-12))
    return {
        "onsets": Lists(np.rint(points * (MIX / midi.grid)).astype(np.int32), counts),
        "velocities": Lists(np.clip(np.rint(velocities), 1, 127).astype(np.uint8), counts),
    }


def _loop(config: RmodConfig, library: "SampleLibrary", split: str, name: str, u: TrackUniforms) -> Node:
    """The fields of `LoopSpec`, where the instrument plays."""
    clips = _clips(library, name, split, never_used=config.loops.absent == 1)
    code = u.below("clip0", len(clips))
    length = np.array([round(c.seconds * RATE) for c in clips])[code]
    # Pieces of 4 s; a rest of 2 s or more is one too. A shorter clip is one piece, repeated from its start.
    pieces = np.maximum(1, length // PIECE + (length % PIECE >= HALF))
    start = u.below("piece", pieces) * PIECE
    halved = u.happens("halved", config.loops.two_seconds)
    start += np.where(halved & (length - start >= PIECE), u.below("half", 2) * HALF, 0)
    playing = ~u.happens("absent", config.loops.absent)
    return Maybe(
        playing,
        {
            **_origin(clips, code),
            "start": start.astype(np.int32),
            "length": np.where(halved, HALF, PIECE).astype(np.int32),
            "semitones": u.whole("transpose", config.loops.semitones[name]),
            "chain": draw_chain(config, config.tracks[name], u),
        },
    )


def _clips(
    library: "SampleLibrary", name: str, split: str, *, never_used: bool = False
) -> "tuple[Clip, ...]":
    clips = library.select(name, split)
    if not clips and never_used:
        return library.clips[:1]  # gives the columns their types
    if not clips:
        raise MissingInputError(
            f"The sample library has no {name} in the split '{split}'; add sources with some "
            "(params.yaml: sources)."
        )
    return clips


def _with_groove(config: RmodConfig, block: dict[str, Node], u: np.ndarray) -> dict[str, Node]:
    """The same mixes with the hits of human performances, chosen by u [B, WIDTH]."""
    patterns = [groove_pattern(config.groove.folder, numbers) for numbers in u]
    names = tuple(sorted({p.name for p in patterns}))
    block["pattern"] = Coded(np.array([names.index(p.name) for p in patterns], np.int32), names)
    for drum in DRUMS:
        node = block[drum]
        assert isinstance(node, dict)
        counts = np.array([len(p.onsets[drum]) for p in patterns], np.int32)
        onsets = np.zeros((len(patterns), counts.max(initial=1)), np.int32)
        velocities = np.zeros(onsets.shape, np.uint8)
        for b, p in enumerate(patterns):
            onsets[b, : counts[b]] = p.onsets[drum]
            velocities[b, : counts[b]] = p.velocities[drum]
        block[drum] = {**node, "onsets": Lists(onsets, counts), "velocities": Lists(velocities, counts)}
    return block
