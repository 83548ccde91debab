"""params.yaml: retrain.gate."""

import dataclasses

from dose.config import was


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budgets:
    """Upper limits on a challenger's cost. Defaults without a study."""

    latency_ratio: float = 1.25  # seconds per extraction, challenger over champion
    latency_s: float = 5.0  # seconds per extraction, whatever the champion takes
    size_mb: float = 200.0  # of one drum's model files

    def __post_init__(self) -> None:
        if min(self.latency_ratio, self.latency_s, self.size_mb) <= 0:
            raise ValueError("budgets must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Improvements are fractions of the champion's score: 0.05 is 5 % less distance."""

    # 1000 items detect an improvement of 5 % in 92 % of drums (`dose bench gate`, docs/retrain.md).
    items: int = 1000  # held-out mixes, rendered for the gate; the same for both models
    # As the service does. Greedy decoding (1 sample) repeats one token on noise-like sounds.
    samples: int = dataclasses.field(default=4, metadata=was("draws"))  # per mix, of which one is selected
    resamples: int = 1000  # of the paired bootstrap
    # Probability that a kit of equal challengers has any drum promoted, over all drums and families.
    alpha: float = dataclasses.field(default=0.05, metadata=was("risk"))
    # The three margins are chosen by hand.
    superiority_margin: float = dataclasses.field(default=0.005, metadata=was("margin"))
    spectral_tolerance: float = dataclasses.field(default=0.02, metadata=was("spectral_loss"))  # of MSS
    distributional_tolerance: float = dataclasses.field(  # of KAD, whose bootstrap spread is wider
        default=0.15, metadata=was("distributional_loss")
    )
    # Chosen by hand, as are the margins above.
    kad_floor: float = 0.5  # smallest denominator of a change in KAD: near 0 a fraction is meaningless
    seed: int = 0  # of the resamples
    budgets: Budgets = dataclasses.field(default_factory=Budgets)

    def __post_init__(self) -> None:
        if self.items < 8 or self.samples < 1 or self.resamples < 100:
            raise ValueError("items must be at least 8, samples at least 1 and resamples at least 100.")
        if not 0 < self.alpha < 0.5:
            raise ValueError("alpha must lie between 0 and 0.5.")
        if min(self.spectral_tolerance, self.distributional_tolerance, self.kad_floor) <= 0:
            raise ValueError("the tolerances and kad_floor must be above 0.")
        if self.superiority_margin < 0:
            raise ValueError("superiority_margin must not be negative.")
