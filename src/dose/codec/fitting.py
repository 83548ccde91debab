"""Fits the compact codec's tables to sounds: k-means stage after stage, each stage saved as it ends."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dose import files
from dose.codec import frames, quantise
from dose.codec.codec import CODEBOOKS, ENTRIES, HOP, SILENCE_PEAK
from dose.codec.compact import (
    BLOCKS,
    GATE_DB,
    HEAD,
    CompactCodec,
    CompactConfig,
    Seen,
    View,
    analyse,
    compand,
    search_envelope,
)

NOISE_ROWS, EMBED_DIMS = 64, 64
Report = Callable[[str, float], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittingConfig:
    """How hard the tables are fitted."""

    rounds: int = 12  # k-means rounds per codebook
    sweeps: int = 2  # times all waveform codebooks are improved together afterwards
    frames: int = 80_000  # frames at most, drawn evenly from all sounds
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.sweeps < 0 or self.frames < ENTRIES:
            raise ValueError(f"rounds must be at least 1, sweeps 0, frames {ENTRIES}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Material:
    """Frames to fit to, silence left out, F of them in random order."""

    folded: Tensor  # float32 [F, HOP]
    jump: Tensor  # int64 [F]
    jumps: Tensor  # float32 [J, BLOCKS], the rises that `jump` counts


def collect(sounds: Iterable[np.ndarray], config: CompactConfig, how: FittingConfig) -> Material:
    """Frames of the sounds [N] at 44.1 kHz, at most `how.frames`."""
    tracks = [torch.from_numpy(np.ascontiguousarray(s, dtype=np.float32))[None] for s in sounds]
    view = View(config)
    jumps = _jumps(tracks, view, how)
    folded, jump = [], []
    for audio in tracks:
        frame, rise = analyse(audio, 0, -(-audio.shape[-1] // HOP), jumps, view)
        loud = frame[0].abs().amax(-1) >= SILENCE_PEAK
        folded.append(frame[0, loud].float())
        jump.append(rise[0, loud])
    order = torch.randperm(sum(map(len, jump)), generator=torch.Generator().manual_seed(how.seed))
    order = order[: how.frames]
    return Material(folded=torch.cat(folded)[order], jump=torch.cat(jump)[order], jumps=jumps)


def fit(
    material: Material,
    config: CompactConfig,
    how: FittingConfig,
    state: Path,
    report: Report = lambda *_: None,
) -> CompactCodec:
    """The codec fitted to the frames of `collect`.

    `state` is a folder for finished steps: a fit that was killed goes on after the last one and ends with the
    same bytes; a state left by other frames or another configuration is not used. `report` is told the name
    and the mean error of each step.
    """
    folded = material.folded
    key = files.hash_json([config, how, hashlib.sha256(folded.numpy().tobytes()).hexdigest()])
    steps = _Steps(state, key)
    cosines, view = frames.cosines(), View(config)
    tables = {"noise": _noise(how.seed), **steps.run("embed", lambda: _embedding(folded, cosines))}
    tables["jumps"] = material.jumps
    seen = [
        view.see(part.double(), jump, material.jumps, cosines)
        for part, jump in zip(folded.split(8192), material.jump.split(8192), strict=True)
    ]
    tables |= steps.run("envelope", lambda: {"envelope": _envelope(seen, view, how, report)})
    wave, weights = _waves(seen, tables["envelope"], view, cosines)
    tables["wave"] = _books(wave, weights, view, how, steps, report)
    for sweep in range(how.sweeps):
        start = tables["wave"]
        better = functools.partial(_sweep, wave, start, view, weights, config.beam, report)
        tables |= steps.run(f"sweep{sweep}", lambda better=better: {"wave": better()})  # type: ignore[misc]
    return CompactCodec(config, {name: table.contiguous() for name, table in tables.items()})


class _Steps:
    """Results of finished steps in a folder, under a key that changes with everything they depend on."""

    def __init__(self, folder: Path, key: str) -> None:
        self.folder, self.key = folder, key

    def run(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        path = self.folder / f"{name}-{self.key}.safetensors"
        if path.is_file():
            return load_file(path)
        made = make()
        with files.atomic(path) as beside:
            save_file(made, beside)
        return made


def _embedding(folded: Tensor, cosines: Tensor) -> dict[str, Tensor]:
    """Mean and principal directions of the companded spectrum; the first comes out with unit variance."""
    seen = compand(folded[:40_000].double() @ cosines)
    mean = seen.mean(0)
    values, vectors = torch.linalg.eigh((seen - mean).T @ (seen - mean) / len(seen))
    basis = vectors[:, -EMBED_DIMS:].flip(-1)
    basis = basis * torch.sign(basis.sum(0)).where(basis.sum(0) != 0, torch.ones(()).double())
    return {"embed_mean": mean.contiguous(), "embed": (basis / values[-1].sqrt()).float().contiguous()}


def _noise(seed: int) -> Tensor:
    """Random signs: each coefficient has exactly the level of its band, only the phase is left to chance."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (NOISE_ROWS, HOP), generator=draw).float() * 2 - 1


def _jumps(tracks: list[Tensor], view: View, how: FittingConfig) -> Tensor:
    """The ways a hit begins in a frame, [jumps, BLOCKS] in dB; two (none, at its start) are flat."""
    found = []
    for audio in tracks:
        inside = frames.between(
            frames.pieces(audio, view.config.overlap, -1, -(-audio.shape[-1] // HOP)), view.config.overlap
        )
        curves, _ = view.curve(inside[0, 1:], inside[0, :-1])
        found.append(curves[curves.amin(-1) < 0])
    curves = torch.cat(found).float()
    # Hits fall anywhere in a frame, so every curve is also seen later in its frame.
    moved = [torch.nn.functional.pad(curves, (n, 0), value=GATE_DB)[:, :BLOCKS] for n in range(BLOCKS)]
    curves = torch.cat(moved).unique(dim=0)
    curves = curves[curves[:, -1] > -1]
    one = torch.ones(len(curves), 1)
    few, dims = view.config.jumps - 2, quantise.plain(BLOCKS)
    book = quantise.k_means(curves, few, dims, one, rounds=how.rounds * 2, seed=how.seed + 50)
    return torch.cat([torch.zeros(2, BLOCKS), book])


def _envelope(seen: list[Seen], view: View, how: FittingConfig, report: Report) -> Tensor:
    """Books [2, N, bands] for the band levels; entry 0 of the first stays free for silence."""
    config = view.config
    rest = torch.cat([s.band_db for s in seen]).float()
    weights = torch.cat([s.weights for s in seen]).float()
    jump = torch.cat([s.jump for s in seen])
    first = quantise.k_means(rest, ENTRIES - 1, view.envelope, weights, rounds=how.rounds, seed=how.seed)
    # Ordered by loudness, so that neighbouring codes mean neighbouring levels.
    first = first[first.mean(-1).argsort()]
    codes, errors = quantise.assign(rest, first, view.envelope, weights)
    report("envelope0", float((errors.sum() / weights.sum()).sqrt()))
    rest = rest - first[codes]
    second = torch.zeros(ENTRIES, config.bands)
    parts = [(jump == 0, 0, config.plain), (jump > 0, config.plain, config.shapes)]
    for rows, start, count in parts:
        second[start : start + count] = quantise.k_means(
            rest[rows], count, view.envelope, weights[rows], rounds=how.rounds, seed=how.seed + 1
        )
    codes, errors = quantise.assign(rest, second[: config.plain], view.envelope, weights)
    report("envelope1", float((errors.sum() / weights.sum()).sqrt()))
    return torch.stack([torch.cat([torch.full((1, config.bands), -100.0), first]), second])


def _waves(seen: list[Seen], books: Tensor, view: View, cosines: Tensor) -> tuple[Tensor, Tensor]:
    """What the waveform books have to code, float32 [F, tail], and their weights."""
    waves, weights = [], []
    for part in seen:
        head = search_envelope(part, books, view)
        wave, weight = view.tail(part.flat, quantise.look_up(head, books.double()), cosines)
        waves.append(wave.float())
        weights.append(weight.float())
    return torch.cat(waves), torch.cat(weights)


def _books(
    wave: Tensor, weights: Tensor, view: View, how: FittingConfig, steps: "_Steps", report: Report
) -> Tensor:
    """Books [7, N, tail], each fitted to what those before it leave."""
    books: list[Tensor] = []
    rest = wave.clone()
    power = float((view.weighting.spread(weights) * wave * wave).sum())
    for stage in range(CODEBOOKS - HEAD):
        made = functools.partial(
            quantise.k_means, rest, ENTRIES, view.weighting, weights, rounds=how.rounds,
            seed=how.seed + 100 + stage,
        )  # fmt: skip
        found = steps.run(f"wave{stage}", lambda made=made: {"book": made()})  # type: ignore[misc]
        books.append(found["book"])
        codes, errors = quantise.assign(rest, books[-1], view.weighting, weights)
        rest = rest - books[-1][codes]
        report(f"wave{stage}", float(errors.sum()) / power)
    return torch.stack(books)


def _sweep(wave: Tensor, books: Tensor, view: View, weights: Tensor, beam: int, report: Report) -> Tensor:
    """All waveform books once more: codes by beam search, each book refitted to what the others leave."""
    codes = quantise.search(wave.double(), books, view.weighting, weights.double(), beam)
    books = books.clone()
    rest = wave - quantise.look_up(codes, books)
    for s in range(len(books)):
        rest += books[s][codes[:, s]]
        books[s], _ = quantise.centroids(rest, codes[:, s], books[s], view.weighting, weights)
        rest -= books[s][codes[:, s]]
    each = view.weighting.spread(weights)
    report("sweep", float((each * rest * rest).sum() / (each * wave * wave).sum()))
    return books
