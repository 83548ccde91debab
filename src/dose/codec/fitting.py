"""Fits the compact codec's tables to sounds: k-means stage after stage, each stage saved as it ends."""

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dose import files
from dose.codec import frames, quantise
from dose.codec.codec import CODEBOOKS, ENTRIES, HOP, SILENCE_PEAK
from dose.codec.compact import BLOCKS, CompactCodec, CompactConfig, View, compand

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


def collect(sounds: Iterable[np.ndarray], config: CompactConfig, limit: int, seed: int) -> Tensor:
    """Folded frames [F, HOP] float32 of the sounds [N], silence left out, at most `limit`, shuffled."""
    parts = []
    for sound in sounds:
        audio = torch.from_numpy(np.ascontiguousarray(sound, dtype=np.float32))[None]
        folded = frames.fold(audio, config.overlap, 0, -(-audio.shape[-1] // HOP))[0]
        parts.append(folded[folded.abs().amax(-1) >= SILENCE_PEAK].float())
    everything = torch.cat(parts)
    order = torch.randperm(len(everything), generator=torch.Generator().manual_seed(seed))
    return everything[order[:limit]]


def fit(
    folded: Tensor, config: CompactConfig, how: FittingConfig, state: Path, report: Report = lambda *_: None
) -> CompactCodec:
    """The codec fitted to folded frames [F, HOP] from `collect`.

    `state` is a folder for finished steps: a fit that was killed goes on after the last one and ends with the
    same bytes; a state left by other frames or another configuration is not used. `report` is told the name
    and the mean error of each step.
    """
    key = files.hash_json([config, how, files.hash_json(folded[:: max(1, len(folded) // 64)].tolist())])
    steps = _Steps(state, key)
    cosines, view = frames.cosines(), View(config)
    signs = torch.Generator().manual_seed(how.seed)
    tables = {
        "noise": torch.randn(NOISE_ROWS, HOP, generator=signs),
        **steps.run("embed", lambda: _embedding(folded, cosines)),
    }
    seen = torch.cat([view.envelope(part.double(), cosines) for part in folded.split(8192)])
    tables |= steps.run("envelope", lambda: {"envelope": _envelope(seen, view, config, how, report)})
    wave, weights = _waves(folded, seen, tables["envelope"], view, cosines)
    books: list[Tensor] = []
    rest = wave.clone()
    power = float((view.weighting.spread(weights) * wave * wave).sum())
    for stage in range(CODEBOOKS - config.envelope):

        def book(seed: int = how.seed + 100 + stage) -> dict[str, Tensor]:
            return {
                "book": quantise.k_means(rest, ENTRIES, view.weighting, weights, rounds=how.rounds, seed=seed)
            }

        books.append(steps.run(f"wave{stage}", book)["book"])
        codes, errors = quantise.assign(rest, books[-1], view.weighting, weights)
        rest -= books[-1][codes]
        report(f"wave{stage}", float(errors.sum()) / power)
    tables["wave"] = torch.stack(books)
    for sweep in range(how.sweeps):

        def again() -> dict[str, Tensor]:
            return {"wave": _sweep(wave, tables["wave"], view, weights, config.beam, report)}

        tables |= steps.run(f"sweep{sweep}", again)
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


def _envelope(seen: Tensor, view: View, config: CompactConfig, how: FittingConfig, report: Report) -> Tensor:
    """Books [2, N, bands + BLOCKS] for the envelopes; entry 0 of the first stays free for silence."""
    one = torch.ones(len(seen), 1)
    dims = quantise.plain(config.bands + BLOCKS)
    rest = (seen * view.importance).float()
    books = []
    for stage in range(config.envelope):
        kept = ENTRIES - (stage == 0)
        book = quantise.k_means(rest, kept, dims, one, rounds=how.rounds, seed=how.seed + stage)
        codes, errors = quantise.assign(rest, book, dims, one)
        rest = rest - book[codes]
        if stage == 0:
            # Ordered by loudness, so that neighbouring codes mean neighbouring levels.
            book = book[book[:, : config.bands].mean(-1).argsort()]
            book = torch.cat([torch.full((1, book.shape[1]), -100.0), book])
        books.append(book)
        report(f"envelope{stage}", float((errors / config.bands).mean().sqrt()))
    return torch.stack(books) / view.importance.float()


def _waves(
    folded: Tensor, seen: Tensor, envelope: Tensor, view: View, cosines: Tensor
) -> tuple[Tensor, Tensor]:
    """What the waveform books have to code, float32 [F, dims], and the weights [F, wave]."""
    waves, weights = [], []
    scaled = envelope * view.importance.float()
    scaled[0, 0] = 1e6
    for part, sight in zip(folded.split(8192), seen.split(8192), strict=True):
        one = torch.ones(len(part), 1, dtype=torch.float64)
        head = quantise.search(sight * view.importance, scaled, quantise.plain(seen.shape[1]), one, beam=8)
        band_db, gain = view.split(quantise.look_up(head, envelope.double()))
        wave, weight = view.wave(part.double() / gain, band_db, cosines)
        waves.append(wave.float())
        weights.append(weight.float())
    return torch.cat(waves), torch.cat(weights)


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
