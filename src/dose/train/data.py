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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Batch:
    prompt: Tensor  # [B, K, P] codes, or [B, FEATURES, P] levels
    shot: Tensor  # [B, K, L] codes
    drum: Tensor | None  # [B] numbers, for shared models
    picture: Tensor | None = None  # [B, BANDS, L] levels of the one-shots, where prompts are levels


class Pairs:
    """Prompts [n, K, P] and one-shots [n, K, L], and where prompts are levels the one-shots' pictures too;
    for a model of several drums one after the other."""

    def __init__(self, prompts: list[Codes], shots: list[Codes], pictures: list[Codes] | None = None) -> None:
        if [len(p) for p in prompts] != [len(s) for s in shots] or not prompts:
            raise ValueError("there must be one prompt for each one-shot")
        self.prompts, self.shots, self.pictures = prompts, shots, pictures
        self.each = len(prompts[0])
        self.prompt_frames: int = prompts[0].shape[-1]
        self.frames: int = shots[0].shape[-1]

    def __len__(self) -> int:
        return sum(len(p) for p in self.prompts)

    def take(self, indices: np.ndarray, prompts_of: np.ndarray | None = None) -> Batch:
        """The pairs at `indices`; `prompts_of` gives each the prompt of another pair of the same drum."""
        drum, item = np.divmod(indices, self.each)
        other = item if prompts_of is None else prompts_of % self.each
        return Batch(
            prompt=_gather(self.prompts, drum, other),
            shot=_gather(self.shots, drum, item),
            drum=torch.from_numpy(drum.astype(np.int64)) if len(self.prompts) > 1 else None,
            picture=None if self.pictures is None else _gather(self.pictures, drum, item),
        )


def _gather(arrays: list[Codes], drum: np.ndarray, item: np.ndarray) -> Tensor:
    """Row `item` of the array of `drum`, for each pair of the two."""
    out = np.empty((len(item), *arrays[0].shape[1:]), np.int64)
    for d in np.unique(drum):
        out[drum == d] = arrays[d].take(item[drum == d])
    return torch.from_numpy(out)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitData:
    """What `fit` learns from and is measured on, and where it came from (goes into the checkpoint)."""

    train: Pairs
    val: Pairs
    codec_id: str
    data_id: str
    prompt: dict[str, Any]  # kind, hits, seconds, ...: what the extractor must do again
    vectors: np.ndarray | None = None  # [K, N, D], what the codes sound like


def open_data(tokens: Path | str, drums: tuple[str, ...], prompt: PromptKind) -> FitData:
    """The train and val tokens of one drum (or of several for a shared model), hashes checked."""
    splits = {split: Tokens(tokens, split) for split in ("train", "val")}
    train, val = splits["train"].index, splits["val"].index
    if any(getattr(train, f) != getattr(val, f) for f in ("codec_id", "data_id", "prompt", "vectors")):
        raise IntegrityError(f"{tokens}: train and val were not made from the same data; make both again.")
    pairs = {
        name: Pairs(
            [split.codes("mix" if prompt == "mix" else f"{PROMPTS[prompt]}_{d}") for d in drums],
            [split.codes(d) for d in drums],
            [split.codes(f"picture_{d}") for d in drums] if prompt == "levels" else None,
        )
        for name, split in splits.items()
    }
    return FitData(
        train=pairs["train"],
        val=pairs["val"],
        codec_id=train.codec_id,
        data_id=train.data_id,
        prompt={**train.prompt, "kind": prompt},
        vectors=splits["train"].vectors(),
    )


class Order:
    """Which pair stands at each position of an endless shuffled stream; position p is in epoch p // n."""

    def __init__(self, n: int, seed: int) -> None:
        self.n, self.seed = n, seed
        self.epoch, self.permutation = -1, np.empty(0, np.int64)

    def at(self, start: int, count: int) -> np.ndarray:
        positions = np.arange(start, start + count)
        out = np.empty(count, np.int64)
        for epoch in np.unique(positions // self.n):
            if epoch != self.epoch:
                generator = np.random.Generator(np.random.Philox(key=[self.seed, int(epoch)]))
                self.epoch, self.permutation = int(epoch), generator.permutation(self.n)
            here = positions // self.n == epoch
            out[here] = self.permutation[positions[here] % self.n]
        return out


def batches(
    pairs: Pairs, *, seed: int, first: int, stop: int, size: int, rank: int = 0, world: int = 1
) -> Generator[Batch, None, None]:
    """Batches number `first` to `stop` (micro-steps) of this process, made ahead by a thread.

    All processes together take `size` x `world` neighbours of the stream, so that two processes see in one
    step what one process of twice the size sees.
    """
    order = Order(len(pairs), seed)
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(maxsize=8)
    leave = threading.Event()

    def put(item: Batch | BaseException | None) -> None:
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
                put(pairs.take(order.at((number * world + rank) * size, size)))
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
