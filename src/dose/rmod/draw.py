"""Seed to recipe: every parameter is a fixed function of one addressed random number.

Blocks of recipes are drawn as arrays (a million take minutes, not hours); one recipe is a block of one.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from dose.audio import RATE
from dose.drums import DRUMS, INSTRUMENTS, MIX_SECONDS
from dose.errors import MissingInputError
from dose.rmod import config as ranges
from dose.rmod.columns import Coded, Lists, Many, Maybe, Node, row
from dose.rmod.config import Range, RmodConfig
from dose.rmod.mix_spec import MixSpec
from dose.rmod.patterns import groove_pattern
from dose.rmod.rng import HITS, NAMED, ROWS, uniforms

if TYPE_CHECKING:
    from dose.sources.library import SampleLibrary

MIX = int(MIX_SECONDS * RATE)
PIECE, HALF = MIX, MIX // 2  # loops are cut to pieces of 4 s, or halves of them
LAWS = ("linear", "power", "compromise")

# A parameter's place among the random numbers of its track. Append only: moving one changes every recipe.
# fmt: off
PARAMETERS = (
    "layered", "weights", "clip0", "clip1", "semitones0", "semitones1", "varied", "decay", "tilt_db",
    "tilt_hz", "hits", "absent", "piece", "halved", "half", "transpose", "inverted", "gain", "shelf_db",
    "shelf_hz", "shelf_q", "peak0_db", "peak0_hz", "peak0_q", "peak1_db", "peak1_hz", "peak1_q", "peak2_db",
    "peak2_hz", "peak2_q", "threshold", "attack", "release", "ratio", "pan", "law", "limit",
    "limit_release", "reverb", "room", "damping", "width", "reverb_level", "reverb_highpass",
    "reverb_lowpassed", "reverb_lowpass", "delay", "seconds", "feedback", "delay_level", "delay_highpass",
    "delay_lowpassed", "delay_lowpass",
)
# fmt: on
PLACE = {name: i for i, name in enumerate(PARAMETERS)}
assert len(PARAMETERS) <= NAMED


class _Numbers:
    """The random numbers of one track, [B, WIDTH], by parameter name."""

    def __init__(self, u: np.ndarray):
        self.u = u

    def __getitem__(self, name: str) -> np.ndarray:
        return self.u[:, PLACE[name]]

    def real(self, name: str, span: Range) -> np.ndarray:
        return (span[0] + (span[1] - span[0]) * self[name]).astype(np.float32)

    def whole(self, name: str, span: tuple[int, int]) -> np.ndarray:
        """Both ends included."""
        return span[0] + np.floor(self[name] * (span[1] - span[0] + 1)).astype(np.int32)

    def below(self, name: str, count: int | np.ndarray) -> np.ndarray:
        return np.floor(self[name] * count).astype(np.int32)

    def happens(self, name: str, probability: float) -> np.ndarray:
        return self[name] < probability


def draw(config: RmodConfig, library: "SampleLibrary", split: str, index: int) -> MixSpec:
    """Recipe `index` of a split: a pure function of config, the bank's catalogue, split and index.

    Raises MissingInputError when the bank lacks clips of a class in that split.
    """
    return next(draw_many(config, library, split, index, index + 1))


def draw_many(
    config: RmodConfig, library: "SampleLibrary", split: str, start: int, stop: int
) -> Iterator[MixSpec]:
    """Recipes start..stop, drawn a block at a time."""
    for first in range(start, stop, 256):
        last = min(first + 256, stop)
        block = draw_block(config, library, split, first, last)
        for b in range(last - first):
            yield MixSpec.from_dict(row(block, b))


def draw_block(
    config: RmodConfig, library: "SampleLibrary", split: str, start: int, stop: int
) -> dict[str, Node]:
    """Recipes start..stop as nested columns, a field for each field of `Recipe`."""
    if start < 0:
        raise ValueError(f"item {start} does not exist; items are counted from 0")
    u = uniforms(config.seed, split, start, stop)
    tracks = {name: _Numbers(u[:, i]) for i, name in enumerate(ROWS)}
    count = stop - start
    sounds = "test" if split == "groove" else split
    block: dict[str, Node] = {
        "seed": np.full(count, config.seed, np.int64),
        "split": Coded(np.zeros(count, np.int32), (split,)),
        "index": np.arange(start, stop, dtype=np.int64),
        "pattern": Coded(np.zeros(count, np.int32), ("rmod",)),
    }
    for name in DRUMS:
        block[name] = _drum(config, library, sounds, name, tracks[name])
    for name in INSTRUMENTS:
        block[name] = _loop(config, library, sounds, name, tracks[name])
    block["master"] = _master(config.master, tracks["master"])
    return _groove(config, block, u[:, ROWS.index("pattern")]) if split == "groove" else block


def _drum(config: RmodConfig, library: "SampleLibrary", split: str, name: str, u: _Numbers) -> Node:
    clips = _clips(library, name, split)
    count = len(clips)
    if split == "train" and config.layering.recorded is not None:
        recorded = np.array([c.source != "procedural" for c in clips])
        first = _weighted(u["clip0"], recorded, config.layering.recorded)
        second = _weighted(u["clip1"], recorded, config.layering.recorded)
        second = np.where(second == first, (second + 1) % count, second)
    else:
        first = u.below("clip0", count)
        second = (first + 1 + u.below("clip1", max(count - 1, 1))) % count  # never the same sample twice
    layered = u.happens("layered", config.layering.probability) & (count > 1)
    weights = np.array(config.layering.weights, np.float32)[u.below("weights", len(config.layering.weights))]
    vary = config.variation
    varied = u.happens("varied", vary.probability)

    def layer(codes: np.ndarray, weight: np.ndarray, semitones: str) -> Node:
        return {
            "clip": Coded(codes, tuple(c.id for c in clips)),
            "kit": Coded(codes, tuple(c.kit for c in clips)),
            "licence": Coded(codes, tuple(c.licence for c in clips)),
            "variant": Coded(codes, tuple(c.variant for c in clips)),
            "weight": weight,
            "semitones": np.where(varied, u.real(semitones, vary.semitones), np.float32(0)),
        }

    low, high = np.log(vary.decay_seconds)
    layers = (
        layer(first, np.where(layered, weights[:, 0], np.float32(1)), "semitones0"),
        layer(second, weights[:, 1], "semitones1"),
    )
    return {
        "layers": Many(layers, 1 + layered),
        "decay_seconds": Maybe(varied, np.exp(low + (high - low) * u["decay"]).astype(np.float32)),
        "tilt_db": np.where(varied, u.real("tilt_db", vary.tilt_db), np.float32(0)),
        "tilt_hz": u.real("tilt_hz", vary.tilt_hz),
        **_hits(config.midi, name, u),
        "chain": _chain(config, config.tracks[name], u),
    }


def _weighted(u: np.ndarray, chosen: np.ndarray, share: float) -> np.ndarray:
    """Indices of clips by uniform numbers u [n]: a `share` of them evenly from `chosen`, the rest evenly from
    the others; all from the one if there is none of the other."""
    mine, others = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    if not len(mine) or not len(others):
        share = float(len(mine) > 0)
    order = np.concatenate([mine, others])
    edges = np.concatenate(
        [np.linspace(0, share, len(mine), endpoint=False), np.linspace(share, 1, len(others), endpoint=False)]
    )
    return order[np.searchsorted(edges, u, side="right") - 1].astype(np.int32)


def _hits(midi: ranges.Midi, name: str, u: _Numbers) -> dict[str, Node]:
    """Distinct grid points, uniform but for the least distance; velocities by the normal quantile."""
    counts = u.whole("hits", midi.hits[name])
    used = np.arange(HITS) < counts[:, None]
    # Sorting first and then adding the gaps keeps hits apart without drawing again.
    places = np.sort(np.where(used, u.u[:, NAMED : NAMED + HITS], 1.0), axis=1)
    free = midi.grid - (counts[:, None] - 1) * midi.gap
    points = np.floor(places * free) + midi.gap * np.arange(HITS)
    levels = midi.velocity_mean + midi.velocity_sd * ndtri(np.maximum(u.u[:, NAMED + HITS :], 1e-12))
    return {
        "onsets": Lists(np.rint(points * (MIX / midi.grid)).astype(np.int32), counts),
        "velocities": Lists(np.clip(np.rint(levels), 1, 127).astype(np.uint8), counts),
    }


def _loop(config: RmodConfig, library: "SampleLibrary", split: str, name: str, u: _Numbers) -> Node:
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
            "clip": Coded(code, tuple(c.id for c in clips)),
            "kit": Coded(code, tuple(c.kit for c in clips)),
            "licence": Coded(code, tuple(c.licence for c in clips)),
            "start": start.astype(np.int32),
            "length": np.where(halved, HALF, PIECE).astype(np.int32),
            "semitones": u.whole("transpose", config.loops.semitones[name]),
            "chain": _chain(config, config.tracks[name], u),
        },
    )


def _chain(config: RmodConfig, track: ranges.TrackRange, u: _Numbers) -> Node:
    c = track.compressor
    return {
        "inverted": u.happens("inverted", 0.5),
        "gain_db": u.real("gain", track.gain_db),
        "shelf": _filter(track.shelf, u, "shelf"),
        "peaks": _peaks(track.peaks, u),
        "compressor": {
            "threshold_db": u.real("threshold", c.threshold_db),
            "attack_ms": u.real("attack", c.attack_ms),
            "release_ms": u.real("release", c.release_ms),
            "ratio": u.real("ratio", c.ratio),
        },
        "pan": u.real("pan", track.pan),
        "law": Coded(u.below("law", len(LAWS)), LAWS),
        "limiter": _limiter(track.limiter, u),
        "reverb": Maybe(u.happens("reverb", track.reverb), _reverb(config.reverb, u)),
        "delay": Maybe(u.happens("delay", track.delay), _delay(config.delay, u)),
    }


def _filter(span: ranges.FilterRange, u: _Numbers, name: str) -> dict[str, Node]:
    return {
        "gain_db": u.real(f"{name}_db", span.gain_db),
        "hz": u.real(f"{name}_hz", span.hz),
        "q": u.real(f"{name}_q", span.q),
    }


def _peaks(spans: tuple[ranges.FilterRange, ...], u: _Numbers) -> Node:
    unused = ranges.FilterRange(gain_db=(0, 0), hz=(1000, 1000), q=(1, 1))  # gives the column its type
    nodes = tuple(_filter(span, u, f"peak{i}") for i, span in enumerate(spans or (unused,)))
    return Many(nodes, np.full(len(u.u), len(spans)))


def _limiter(span: ranges.LimiterRange, u: _Numbers) -> dict[str, Node]:
    return {
        "threshold_db": u.real("limit", span.threshold_db),
        "release_ms": u.real("limit_release", span.release_ms),
    }


def _send_filter(span: ranges.SendFilter, u: _Numbers, send: str) -> dict[str, Node]:
    low = u.real(f"{send}_lowpass", span.lowpass_hz)
    return {
        "highpass_hz": u.real(f"{send}_highpass", span.highpass_hz),
        "lowpass_hz": Maybe(u.happens(f"{send}_lowpassed", span.lowpass), low),
    }


def _reverb(span: ranges.ReverbRange, u: _Numbers) -> Node:
    return {
        "room": u.real("room", span.room),
        "damping": u.real("damping", span.damping),
        "width": u.real("width", span.width),
        "level_db": u.real("reverb_level", span.level_db),
        **_send_filter(span.filter, u, "reverb"),
    }


def _delay(span: ranges.DelayRange, u: _Numbers) -> Node:
    return {
        "seconds": u.real("seconds", span.seconds),
        "feedback": u.real("feedback", span.feedback),
        "level_db": u.real("delay_level", span.level_db),
        **_send_filter(span.filter, u, "delay"),
    }


def _master(span: ranges.MasterRange, u: _Numbers) -> Node:
    return {
        "peaks": _peaks(span.peaks, u),
        "gain_db": u.real("gain", span.gain_db),
        "limiter": _limiter(span.limiter, u),
    }


def _clips(library: "SampleLibrary", name: str, split: str, *, never_used: bool = False) -> tuple:
    clips = library.select(name, split)
    if not clips and never_used:
        return library.clips[:1]  # gives the columns their types
    if not clips:
        raise MissingInputError(
            f"The bank has no {name} in the split '{split}'; add sources with some (params.yaml: sources)."
        )
    return clips


def _groove(config: RmodConfig, block: dict[str, Node], u: np.ndarray) -> dict[str, Node]:
    """The same recipes with the hits of human performances."""
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
