"""How one model is trained: params.yaml's `sweep.fit`, and the JSON file of `python -m dose.train`."""

import dataclasses
from typing import ClassVar

from dose import compute
from dose.config import Removed, was
from dose.model.config import ModelConfig
from dose.model.loss import Region
from dose.tokens.shards import OLD_PROMPT_KINDS, PromptKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitConfig:
    """One training run. Learning rates, batch and steps are set per scale in params.yaml."""

    REMOVED: ClassVar[dict[str, Removed]] = {
        "prompt_dropout": Removed(0.0, "classifier-free guidance, which it served, was removed")
    }

    model: ModelConfig
    prompt: PromptKind = dataclasses.field(  # see dose.tokens.prompt
        default="hits", metadata=was(values=OLD_PROMPT_KINDS)
    )
    steps: int = 1000
    # The first of them pre-train the condition encoder alone, on EQ-augmented pairs.
    encoder_steps: int = dataclasses.field(default=0, metadata=was("listen_steps"))
    batch: int = 16  # pairs per process and micro-step
    accumulate: int = 1  # micro-steps per step
    lr: float = 1e-3
    lr_floor: float = 0.1  # last learning rate of the schedule, as a fraction of lr
    warmup: int = 100  # steps; the schedule starts anew after encoder_steps
    weight_decay: float = 0.01
    clip: float = 1.0  # largest norm of the gradient; 0 is off
    ema: float = 0.0  # decay of the averaged weights that are evaluated and stored; 0 is off
    onset_weight: float = 1.0  # of the onset loss, 1 in the paper
    onset_region: Region = "paper"
    # Of the loss of the expected spectrogram, which prompts of band energies have.
    spectrogram_weight: float = dataclasses.field(default=0.0, metadata=was("picture_weight"))
    codebook_init: bool = dataclasses.field(  # start embeddings and head from the codec's codebooks
        default=False, metadata=was("from_vectors")
    )
    precision: compute.Precision = "auto"  # number format: auto takes the faster one on this machine
    compile: bool = False
    evaluate_every: int = 250  # steps; also the distance between saved states
    evaluate_items: int = 128  # validation pairs per evaluation
    patience: int = 0  # evaluations without a lower validation loss before the run ends; 0 is off
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.accumulate, self.evaluate_every, self.evaluate_items) < 1:
            raise ValueError("steps, batch, accumulate, evaluate_every and evaluate_items must be at least 1")
        if not 0 <= self.encoder_steps < self.steps:
            raise ValueError("encoder_steps must be fewer than steps")
        # Each of the two phases has a warm-up of its own and must be longer than it.
        if not 0 <= self.warmup < min(self.encoder_steps or self.steps, self.steps - self.encoder_steps):
            raise ValueError("warmup must be shorter than steps, and than encoder_steps and what is left")
        if not 0 <= self.ema < 1:
            raise ValueError("ema must be at least 0 and below 1")
        if min(self.onset_weight, self.spectrogram_weight) < 0 or self.lr <= 0:
            raise ValueError("onset_weight and spectrogram_weight must be at least 0 and lr above 0")
        if (self.prompt == "band_energies") != (self.model.conditioning == "band_energies"):
            raise ValueError("conditioning 'band_energies' and prompt 'band_energies' need each other")
        if (self.spectrogram_weight or self.encoder_steps) and self.prompt != "band_energies":
            raise ValueError("spectrogram_weight and encoder_steps need prompt 'band_energies'")
        if self.encoder_steps and not self.spectrogram_weight:
            raise ValueError("encoder_steps need a spectrogram_weight")
