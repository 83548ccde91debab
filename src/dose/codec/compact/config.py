"""Settings of the compact codec, and the sizes that follow from them."""

import dataclasses
import itertools
from typing import Any

from dose.codec.codec import CODEBOOK_SIZE, HOP
from dose.config import was

ENVELOPE_BOOKS = 2  # codebooks for the envelope; the other seven are for the fine structure
QUARTERS = 4  # of a frame, 2.9 ms each: time resolution of the noise level
# A rise inside a frame is described in 16 steps of 32 samples, 0.73 ms each.
STEPS, STEP_SAMPLES = 16, 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompactConfig:
    """How the compact codec analyses a frame. Another value makes another codec with another id.

    The shipped values were chosen one after the other on recorded one-shots: docs/codec.md has the log of
    `overlap`, `waveform_bands`, `weight_exponent`, `attack_min_db` and `beam_width`. The others are defaults
    without a study.
    """

    overlap: int = 128  # samples that neighbouring frames share
    band_edges: tuple[int, ...] = dataclasses.field(  # MDCT coefficients, 43 Hz each
        default=(0, 3, 6, 10, 15, 21, 28, 37, 48, 64, 86, 116, 155, 207, 276, 369, 512), metadata=was("edges")
    )
    # The lowest bands, whose waveform is coded; the others are noise bands.
    waveform_bands: int = dataclasses.field(default=10, metadata=was("wave"))
    # Weight of a band in the fine structure: its energy to this power (1: squared error, 0: all bands alike).
    weight_exponent: float = dataclasses.field(default=0.8, metadata=was("gamma"))
    # Bands further below the loudest one count as this far below.
    dynamic_range_db: float = dataclasses.field(default=80.0, metadata=was("range_db"))
    # Smallest rise inside a frame that is described.
    attack_min_db: float = dataclasses.field(default=12.0, metadata=was("jump_db"))
    # Known level curves of a frame: none, a hit at its start, and hits inside it.
    attack_curves: int = dataclasses.field(default=96, metadata=was("jumps"))
    # Entries of codebook 1 for each attack curve.
    levels_per_attack: int = dataclasses.field(default=5, metadata=was("shapes"))
    # Weight of an error in a noise band's details against one in the waveform.
    noise_detail_weight: float = dataclasses.field(default=0.5, metadata=was("detail"))
    # Weight of a noise band's level against a waveform band's, in the envelope.
    noise_level_weight: float = dataclasses.field(default=4.0, metadata=was("air"))
    beam_width: int = dataclasses.field(default=3, metadata=was("beam"))

    def __post_init__(self) -> None:
        edges = self.band_edges
        if not (edges[0] == 0 and edges[-1] == HOP and list(edges) == sorted(set(edges))):
            raise ValueError(f"band_edges must rise from 0 to {HOP}")
        if not 0 < self.waveform_bands < self.bands:
            raise ValueError("waveform_bands must leave bands to the waveform and to the noise")
        if self.overlap % 2 or not 2 <= self.overlap <= HOP:
            raise ValueError(f"overlap must be an even number from 2 to {HOP}")
        if not 0 < self.plain_entries < CODEBOOK_SIZE:
            raise ValueError(
                "attack_curves and levels_per_attack must leave entries of codebook 1 to frames without a hit"
            )

    @property
    def plain_entries(self) -> int:
        """Entries of codebook 1 for frames without a rise; those of the attack curves follow."""
        return CODEBOOK_SIZE - (self.attack_curves - 1) * self.levels_per_attack

    @property
    def bands(self) -> int:
        return len(self.band_edges) - 1

    @property
    def waveform_dims(self) -> int:
        """Coefficients whose waveform is coded."""
        return self.band_edges[self.waveform_bands]

    @property
    def half_band_edges(self) -> tuple[int, ...]:
        """Edges of the noise bands, each cut in two."""
        noise = self.band_edges[self.waveform_bands :]
        cuts = [(a + b) // 2 for a, b in itertools.pairwise(noise)]
        return tuple(sorted((*noise, *cuts)))

    @property
    def fine_dims(self) -> int:
        """Numbers that codebooks 2 to 8 describe: coefficients, levels of half bands and of quarters."""
        return self.waveform_dims + len(self.half_band_edges) - 1 + QUARTERS

    def stored(self) -> dict[str, Any]:
        """The settings under their names in codec.json, which are part of its format and of the id."""
        return {f.metadata.get("was") or f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
