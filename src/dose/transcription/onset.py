"""A hit that was chosen to condition a model."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Onset:
    """One chosen hit of one drum."""

    start: int  # sample in the mix
    likelihood: float  # 0..1: its probability
    rank: float  # the probability, less what disturbs it; onsets are chosen in this order
