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
from dose.codec.codec import CODEBOOK_SIZE, CODEBOOKS, HOP, SILENCE_PEAK
from dose.codec.compact import CompactCodec, CompactConfig, envelope, fine_structure
from dose.codec.compact.attack import GATE_DB, analyse, attack_curve
from dose.codec.compact.bands import BandLayout
from dose.codec.compact.codec import compress_loudness
from dose.codec.compact.config import ENVELOPE_BOOKS, STEPS
from dose.codec.compact.envelope import FrameFeatures
from dose.config import was

NOISE_ROWS, EMBED_DIMS = 64, 64  # noise frames before the decoder repeats them; size of the embedding
EMBED_FRAMES = 40_000  # frames that the embedding's principal components are computed from
MEASURED_AT_ONCE = 8192  # frames; bounds the memory
Report = Callable[[str, float], None]  # called with the name and the mean error of each finished step


@dataclasses.dataclass(frozen=True, kw_only=True)
class FittingConfig:
    """How long the tables are fitted, and to how many frames."""

    rounds: int = 12  # k-means rounds per codebook
    # Times all fine-structure codebooks are refitted together afterwards.
    joint_refits: int = dataclasses.field(default=2, metadata=was("sweeps"))
    frames: int = 80_000  # frames at most, sampled evenly from all sounds
    seed: int = 0

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.joint_refits < 0 or self.frames < CODEBOOK_SIZE:
            raise ValueError(f"rounds must be at least 1, joint_refits 0, frames {CODEBOOK_SIZE}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingFrames:
    """Frames to fit to, silent ones left out, F of them in random order."""

    folded: Tensor  # float32 [F, HOP]
    attack: Tensor  # int64 [F], index of each frame's attack curve
    attack_curves: Tensor  # float32 [J, STEPS]


def collect(sounds: Iterable[np.ndarray], config: CompactConfig, fitting: FittingConfig) -> TrainingFrames:
    """Frames of the sounds, each [N] at 44.1 kHz; at most `fitting.frames`."""
    tracks = [torch.from_numpy(np.ascontiguousarray(s, dtype=np.float32))[None] for s in sounds]
    curves = _attack_curves(tracks, config, fitting)
    folded, attacks = [], []
    for audio in tracks:
        frame, attack = analyse(audio, 0, -(-audio.shape[-1] // HOP), curves, config)
        sounding = frame[0].abs().amax(-1) >= SILENCE_PEAK
        folded.append(frame[0, sounding].float())
        attacks.append(attack[0, sounding])
    order = torch.randperm(sum(map(len, attacks)), generator=torch.Generator().manual_seed(fitting.seed))
    order = order[: fitting.frames]
    return TrainingFrames(
        folded=torch.cat(folded)[order], attack=torch.cat(attacks)[order], attack_curves=curves
    )


def fit(
    data: TrainingFrames,
    config: CompactConfig,
    fitting: FittingConfig,
    state: Path,
    report: Report = lambda *_: None,
) -> CompactCodec:
    """The codec fitted to the frames of `collect`.

    `state` is a folder for finished steps: a fit that was killed resumes after the last one and ends with the
    same bytes; the state of other frames or another configuration is not used.
    """
    folded = data.folded
    key = files.hash_json([config, fitting, hashlib.sha256(folded.numpy().tobytes()).hexdigest()])
    steps = _Steps(state, key)
    dct, layout = frames.dct_iv(), BandLayout(config)
    # 1. Tables that need no codebook: noise, embedding, attack curves.
    tables = {"noise": _noise(fitting.seed), **steps.run("embed", lambda: _embedding(folded, dct))}
    tables["jumps"] = data.attack_curves
    # 2. The two envelope books.
    features = [
        envelope.measure(part.double(), attack, data.attack_curves, layout, dct)
        for part, attack in zip(
            folded.split(MEASURED_AT_ONCE), data.attack.split(MEASURED_AT_ONCE), strict=True
        )
    ]
    tables |= steps.run("envelope", lambda: {"envelope": _envelope_books(features, layout, fitting, report)})
    # 3. The seven fine-structure books, one after the other, then all together.
    fine, weights = _fine_targets(features, tables["envelope"], layout, dct)
    tables["wave"] = _fine_books(fine, weights, layout, fitting, steps, report)
    for i in range(fitting.joint_refits):
        refit = functools.partial(_refit, fine, tables["wave"], layout, weights, config.beam_width, report)
        tables |= steps.run(f"sweep{i}", lambda refit=refit: {"wave": refit()})  # type: ignore[misc]
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


def _embedding(folded: Tensor, dct: Tensor) -> dict[str, Tensor]:
    """Mean and principal components of the compressed spectrum; the first has unit variance."""
    compressed = compress_loudness(folded[:EMBED_FRAMES].double() @ dct)
    mean = compressed.mean(0)
    centred = compressed - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(compressed))
    basis = vectors[:, -EMBED_DIMS:].flip(-1)  # largest eigenvalue first, [HOP, D]
    # An eigenvector's sign is arbitrary: a positive sum makes it the same on every machine.
    basis = basis * torch.sign(basis.sum(0)).where(basis.sum(0) != 0, torch.ones(()).double())
    return {"embed_mean": mean.contiguous(), "embed": (basis / values[-1].sqrt()).float().contiguous()}


def _noise(seed: int) -> Tensor:
    """Random signs [NOISE_ROWS, HOP]: each coefficient has exactly the level of its band."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 2, (NOISE_ROWS, HOP), generator=generator).float() * 2 - 1


def _attack_curves(tracks: list[Tensor], config: CompactConfig, fitting: FittingConfig) -> Tensor:
    """The known attack curves, [attack_curves, STEPS] in dB; two (no hit, a hit at the start) are flat."""
    # 1. Curves of all frames in which the level rises.
    found = []
    for audio in tracks:
        unfolded = frames.between_boundaries(
            frames.frame_samples(audio, config.overlap, -1, -(-audio.shape[-1] // HOP)), config.overlap
        )
        curves, _ = attack_curve(unfolded[0, 1:], unfolded[0, :-1], config)
        found.append(curves[curves.amin(-1) < 0])
    curves = torch.cat(found).float()
    # 2. Hits fall anywhere in a frame, so every curve is added at all later steps of its frame too; curves
    #    that do not reach their full level within the frame are left out.
    shifted = [torch.nn.functional.pad(curves, (n, 0), value=GATE_DB)[:, :STEPS] for n in range(STEPS)]
    curves = torch.cat(shifted).unique(dim=0)
    curves = curves[curves[:, -1] > -1]
    # 3. k-means in dB, all steps alike.
    ones, count = torch.ones(len(curves), 1), config.attack_curves - 2
    book = quantise.k_means(
        curves, count, quantise.unweighted(STEPS), ones, rounds=fitting.rounds * 2, seed=fitting.seed + 50
    )
    return torch.cat([torch.zeros(2, STEPS), book])


def _envelope_books(
    features: list[FrameFeatures], layout: BandLayout, fitting: FittingConfig, report: Report
) -> Tensor:
    """Books [2, N, bands] for the band levels; entry 0 of the first is reserved for silence."""
    config, weighting = layout.config, layout.envelope_weighting
    residual = torch.cat([s.band_db for s in features]).float()
    weights = torch.cat([s.weights for s in features]).float()
    attack = torch.cat([s.attack for s in features])
    first = quantise.k_means(
        residual, CODEBOOK_SIZE - 1, weighting, weights, rounds=fitting.rounds, seed=fitting.seed
    )
    # Ordered by loudness, so that neighbouring codes mean neighbouring levels.
    first = first[first.mean(-1).argsort()]
    codes, errors = quantise.assign(residual, first, weighting, weights)
    report("envelope0", float((errors.sum() / weights.sum()).sqrt()))
    residual = residual - first[codes]
    # The second book: one part for frames without a hit, one for frames with a hit, which every attack curve
    # shares (see `envelope.pack_codes`).
    second = torch.zeros(CODEBOOK_SIZE, config.bands)
    parts = [
        (attack == 0, 0, config.plain_entries),
        (attack > 0, config.plain_entries, config.levels_per_attack),
    ]
    for rows, start, count in parts:
        second[start : start + count] = quantise.k_means(
            residual[rows], count, weighting, weights[rows], rounds=fitting.rounds, seed=fitting.seed + 1
        )
    codes, errors = quantise.assign(residual, second[: config.plain_entries], weighting, weights)
    report("envelope1", float((errors.sum() / weights.sum()).sqrt()))
    silence = torch.full((1, config.bands), -100.0)
    return torch.stack([torch.cat([silence, first]), second])


def _fine_targets(
    features: list[FrameFeatures], books: Tensor, layout: BandLayout, dct: Tensor
) -> tuple[Tensor, Tensor]:
    """What the fine-structure books have to code, float32 [F, fine_dims], and its weights."""
    targets, weights = [], []
    for part in features:
        entries = envelope.search(part, books, layout)
        band_db = quantise.look_up(entries, books.double())
        target, weight = fine_structure.target(part.flattened, band_db, layout, dct)
        targets.append(target.float())
        weights.append(weight.float())
    return torch.cat(targets), torch.cat(weights)


def _fine_books(
    fine: Tensor, weights: Tensor, layout: BandLayout, fitting: FittingConfig, steps: _Steps, report: Report
) -> Tensor:
    """Books [7, N, fine_dims], each fitted to what those before it leave."""
    weighting = layout.fine_weighting
    books: list[Tensor] = []
    residual = fine.clone()
    power = float((weighting.per_dimension(weights) * fine * fine).sum())
    for stage in range(CODEBOOKS - ENVELOPE_BOOKS):
        make = functools.partial(
            quantise.k_means, residual, CODEBOOK_SIZE, weighting, weights, rounds=fitting.rounds,
            seed=fitting.seed + 100 + stage,
        )  # fmt: skip
        found = steps.run(f"wave{stage}", lambda make=make: {"book": make()})  # type: ignore[misc]
        books.append(found["book"])
        codes, errors = quantise.assign(residual, books[-1], weighting, weights)
        residual = residual - books[-1][codes]
        report(f"wave{stage}", float(errors.sum()) / power)
    return torch.stack(books)


def _refit(
    fine: Tensor, books: Tensor, layout: BandLayout, weights: Tensor, beam: int, report: Report
) -> Tensor:
    """All fine-structure books once more: codes by beam search, then each book to what the others leave."""
    weighting = layout.fine_weighting
    codes = quantise.beam_search(fine.double(), books, weighting, weights.double(), beam)
    books = books.clone()
    residual = fine - quantise.look_up(codes, books)
    for s in range(len(books)):
        # Add this book's part back, refit the book to it, and take the new part out.
        residual += books[s][codes[:, s]]
        books[s], _ = quantise.centroids(residual, codes[:, s], books[s], weighting, weights)
        residual -= books[s][codes[:, s]]
    dim_weights = weighting.per_dimension(weights)
    report("sweep", float((dim_weights * residual * residual).sum() / (dim_weights * fine * fine).sum()))
    return books
