"""The sizes and switches of a model: set in params.yaml's `sweep.fit.model`, stored in a checkpoint."""

import dataclasses
from typing import ClassVar, Literal

from dose.config import Removed, was
from dose.tokens import band_energies, layout

# How the transformer receives the prompt. Segments are parts of the mix that start at the drum's onsets,
# as the one-shot starts at its own, so frame t of a segment sounds together with frame t of the one-shot.
# "prefix":         codec tokens before the one-shot's, as in the paper.
# "prefix_aligned": the same, and features of the segments' codes added to the one-shot's steps
#                   (`AlignedCodeEncoder`).
# "aligned":        these features alone; the sequence is a summary step and the one-shot.
# "band_energies":  features of the segments' quantised band energies, likewise (`ConditionEncoder`).
Conditioning = Literal["prefix", "prefix_aligned", "aligned", "band_energies"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The defaults of the switches are the paper's, but for `decoding`."""

    REMOVED: ClassVar[dict[str, Removed]] = {
        "drums": Removed((), "a model generates one drum, and models shared by several are not read any more")
    }

    layers: int = 10
    width: int = 1024
    heads: int = 16
    dropout: float = 0.1  # on embedding, attention projection and feed-forward; none inside attention
    codebooks: int = 9
    codebook_size: int = dataclasses.field(default=1024, metadata=was("entries"))
    frames: int = 87  # length of the one-shot in codec frames: 87 (1 s), 90, 173 (2 s)
    positions: Literal["none", "rotary"] = "none"
    prefix: Literal["causal", "bidirectional"] = "causal"  # attention of the prompt to itself
    pattern: layout.Pattern = "delay"
    segments: int = dataclasses.field(default=1, metadata=was("excerpts"))  # of equal length; 1: whole mix
    conditioning: Conditioning = dataclasses.field(
        default="prefix",
        metadata=was(
            "aligned",
            values={
                "no": "prefix",
                "also": "prefix_aligned",
                "only": "aligned",
                "levels": "band_energies",
            },
        ),
    )
    # constrained: start step, empty positions and length are set, and every other position holds a code.
    # unconstrained: the model predicts them, as the authors' does.
    decoding: Literal["unconstrained", "constrained"] = dataclasses.field(
        default="constrained",
        metadata=was("structure", values={"free": "unconstrained", "fixed": "constrained"}),
    )

    def __post_init__(self) -> None:
        if min(self.layers, self.width, self.heads, self.codebooks, self.codebook_size, self.frames) < 1:
            raise ValueError("layers, width, heads, codebooks, codebook_size and frames must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not divide by {self.heads} heads")
        if self.positions == "rotary" and self.head_size % 2:
            raise ValueError("rotary positions need an even head size")
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout must be at least 0 and below 1")
        if self.segments < 1:
            raise ValueError("segments must be at least 1")

    @property
    def vocabulary(self) -> int:
        """V: tokens of one codebook, the empty token 0 and one for each code."""
        return self.codebook_size + 1

    @property
    def steps(self) -> int:
        """S: time steps of a one-shot, start and end step included."""
        return layout.one_shot_length(self.frames, self.codebooks, self.pattern)

    @property
    def prompt_channels(self) -> int:
        """Size of a prompt's second axis: codebooks, or features of a quantised spectrogram."""
        return band_energies.FEATURES if self.conditioning == "band_energies" else self.codebooks

    @property
    def prompt_vocabulary(self) -> int:
        """A prompt's numbers lie in 0 .. this - 1."""
        return band_energies.MAX_LEVEL + 1 if self.conditioning == "band_energies" else self.codebook_size

    @property
    def prompt_in_sequence(self) -> bool:
        """Whether the prompt's codec tokens are steps of the transformer's sequence."""
        return self.conditioning in ("prefix", "prefix_aligned")

    @property
    def head_size(self) -> int:
        return self.width // self.heads
