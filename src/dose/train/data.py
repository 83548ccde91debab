"""Pairs of prompt and one-shot, in an order that is a function of (seed, position) alone."""

import dataclasses
import queue
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dose.errors import IntegrityError
from dose.tokens.shards import PROMPTS, Codes, PromptKind, Tokens
from dose.train.config import FitConfig

PREFETCH = 8  # batches that the reading thread keeps ready; a default without a study


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    prompt: Tensor  # [B, K, P] codes, or [B, FEATURES, P] quantised band energies
    shot: Tensor  # [B, K, L] codes
    spectrogram: Tensor | None = None  # [B, BANDS, L] of the one-shots, with prompts of band energies


class Pairs:
    """Prompts [n, K, P] and one-shots [n, K, L]; with prompts of band energies also the one-shots' quantised
    spectrograms [n, BANDS, L]."""

    def __init__(self, prompts: Codes, shots: Codes, spectrograms: Codes | None = None) -> None:
        if len(prompts) != len(shots):
            raise ValueError("there must be one prompt for each one-shot")
        self.prompts, self.shots, self.spectrograms = prompts, shots, spectrograms
        self.prompt_frames: int = prompts.shape[-1]
        self.frames: int = shots.shape[-1]

    def __len__(self) -> int:
        return len(self.shots)

    def batch(self, indices: np.ndarray, prompts_of: np.ndarray | None = None) -> Batch:
        """The pairs at `indices`; `prompts_of` gives each the prompt of another pair."""
        return Batch(
            prompt=torch.from_numpy(self.prompts.select(indices if prompts_of is None else prompts_of)),
            shot=torch.from_numpy(self.shots.select(indices)),
            spectrogram=(
                None if self.spectrograms is None else torch.from_numpy(self.spectrograms.select(indices))
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitData:
    """What `fit` trains and validates on, and where it came from (goes into the checkpoint)."""

    train: Pairs
    val: Pairs
    codec_id: str
    data_id: str
    prompt: dict[str, Any]  # kind, hits, seconds, ...: how the extractor must make the prompt
    codebooks: np.ndarray | None = None  # [K, N, D], the codec's codebook vectors


def open_data(tokens: Path | str, drum: str, prompt: PromptKind) -> FitData:
    """The train and val tokens of one drum, hashes checked.

    Raises MissingInputError for tokens that were not made, IntegrityError for changed ones and for splits
    that do not belong together.
    """
    splits = {split: Tokens(tokens, split) for split in ("train", "val")}
    train, val = splits["train"].index, splits["val"].index
    if any(getattr(train, f) != getattr(val, f) for f in ("codec_id", "data_id", "prompt", "vectors")):
        raise IntegrityError(f"{tokens}: train and val were not made from the same data; make both again.")
    pairs = {
        name: Pairs(
            split.codes("mix" if prompt == "mix" else f"{PROMPTS[prompt]}_{drum}"),
            split.codes(drum),
            split.codes(f"spectrogram_{drum}") if prompt == "band_energies" else None,
        )
        for name, split in splits.items()
    }
    # The kind of this run's prompt, beside the settings that all kinds share.
    return FitData(
        train=pairs["train"],
        val=pairs["val"],
        codec_id=train.codec_id,
        data_id=train.data_id,
        prompt={**train.prompt, "kind": prompt},
        codebooks=splits["train"].vectors(),
    )


def check_fit(config: FitConfig, data: FitData) -> None:
    """Raises ValueError where a model's sizes, its prompt or its start do not fit the data."""
    m = config.model
    if data.train.frames != m.frames:
        raise ValueError(f"the one-shots have {data.train.frames} frames, the model {m.frames}")
    segments = 1 if config.prompt == "mix" else data.prompt.get("hits", 1)
    if m.segments != segments:
        raise ValueError(f"the prompts have {segments} segments, the model expects {m.segments}")
    if data.prompt.get("kind", config.prompt) != config.prompt:
        raise ValueError(f"the data's prompts are '{data.prompt['kind']}', the run wants '{config.prompt}'")
    if config.codebook_init and data.codebooks is None:
        raise ValueError("codebook_init needs tokens with vectors.npy, which this codec does not give")
    if len(data.val) < 2:
        raise ValueError("at least two validation pairs are needed to measure the conditioning gap")


class Order:
    """Which pair stands at each position of an endless shuffled stream; position p is in epoch p // n."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self.epoch, self.permutation = -1, np.empty(0, np.int64)

    def at(self, start: int, count: int) -> np.ndarray:
        """Indices of the pairs at positions start .. start + count - 1."""
        positions = np.arange(start, start + count)
        out = np.empty(count, np.int64)
        for epoch in np.unique(positions // self.n):
            if epoch != self.epoch:
                # Keyed by the epoch, so that a resumed run needs no earlier permutation.
                generator = np.random.Generator(np.random.Philox(key=[self.seed, int(epoch)]))
                self.epoch, self.permutation = int(epoch), generator.permutation(self.n)
            in_epoch = positions // self.n == epoch
            out[in_epoch] = self.permutation[positions[in_epoch] % self.n]
        return out


def batches(
    pairs: Pairs, *, seed: int, first: int, stop: int, size: int, rank: int = 0, world: int = 1
) -> Generator[Batch, None, None]:
    """Batches number `first` to `stop` (micro-steps) of this process, prefetched by a thread.

    All processes together read `size` x `world` neighbours of the stream, so that one step of two processes
    covers the same pairs as one step of a process with twice the batch.
    """
    order = Order(len(pairs), seed)
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=PREFETCH)
    leave = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
        # A timeout instead of a plain put: the reader may have left with the queue full.
        while not leave.is_set():
            try:
                return ready.put(item, timeout=0.1)
            except queue.Full:
                continue

    def fill() -> None:
        try:
            for number in range(first, stop):
                if leave.is_set():
                    return
                put(pairs.batch(order.at((number * world + rank) * size, size)))
            put(None)
        except BaseException as e:
            put(e)

    threading.Thread(target=fill, daemon=True, name="token batches").start()
    try:
        while (item := ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        leave.set()
