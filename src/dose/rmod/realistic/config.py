"""The switches of the realistic distribution."""

import dataclasses

from dose.rmod.ranges import check_probability


@dataclasses.dataclass(frozen=True, kw_only=True)
class RealisticConfig:
    """How long the mixes are, and how many of them lack backing or drums; defaults by hand."""

    seed: int = 0
    seconds: float = 5.0
    bare: float = 0.17  # share of mixes whose drums are alone
    drum_free: float = 0.1  # share of mixes without drums
    single_drum: float = 0.08  # share of the mixes with drums that have one track of them only

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**62:
            raise ValueError("seed must lie in 0 .. 2^62 - 1")
        if not 0.5 <= self.seconds <= 600:
            raise ValueError("seconds must lie in 0.5 .. 600")
        for name in ("bare", "drum_free", "single_drum"):
            check_probability(name, getattr(self, name))
        if self.bare + self.drum_free > 1:
            raise ValueError("bare and drum_free together cannot exceed 1")
