"""The section `transcription` of params.yaml."""

import dataclasses
from typing import Literal

from dose.rmod.ranges import check_probability


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How the network is trained."""

    mixes: int  # of RMOD's train split, rendered once
    val: int  # of its val split, for the calibration and the logged scores
    paper_share: float  # of the mixes that come from the paper's distribution
    init: Literal["random", "bundled"]  # weights to begin with; bundled: the shipped network's
    steps: int
    batch: int  # crops of 4 s
    lr: float
    ema: float  # decay of the averaged weights
    evaluate_every: int  # steps; also between saved states
    workers: int  # that render
    seed: int = 0

    def __post_init__(self) -> None:
        counts = (self.mixes, self.val, self.steps, self.batch, self.evaluate_every, self.workers)
        if min(counts) < 1:
            raise ValueError("mixes, val, steps, batch, evaluate_every and workers must be at least 1")
        if self.mixes < self.batch:
            raise ValueError("mixes must be at least batch")
        check_probability("paper_share", self.paper_share)
        if not 0 <= self.ema < 1 or self.lr <= 0:
            raise ValueError("ema must lie in [0, 1) and lr above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SecondPassConfig:
    """How the second pass is fitted, to the network's candidates."""

    mixes: int  # of RMOD's train split
    val: int  # of its val split, for the calibration
    epochs: int
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.mixes, self.val, self.epochs) < 1:
            raise ValueError("mixes, val and epochs must be at least 1")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscriptionConfig:
    """params.yaml: transcription."""

    source: Literal["bundled", "train"]
    train: TrainConfig
    second_pass: SecondPassConfig
    log: bool  # a training to MLflow
