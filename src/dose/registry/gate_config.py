"""params.yaml: retrain.gate."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Budgets:
    """What a challenger may cost, against the champion and in itself."""

    latency_ratio: float = 1.25  # seconds per extraction, challenger over champion
    latency_s: float = 5.0  # seconds per extraction, whatever the champion takes
    size_mb: float = 200.0  # of one drum's model files

    def __post_init__(self) -> None:
        if min(self.latency_ratio, self.latency_s, self.size_mb) <= 0:
            raise ValueError("budgets must be above 0.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Improvements are fractions of the champion's figure: 0.05 is 5 % less distance."""

    items: int = 1000  # held-out mixes, rendered for the gate; the same for both models
    draws: int = 4  # per mix, of which one is taken, as the service does; greedy answers stick in noise
    resamples: int = 1000  # of the paired bootstrap
    risk: float = 0.05  # chance that a kit of equals is promoted, over all drums and families
    margin: float = 0.005  # the improvement that must be surpassed, with that risk, in one family
    spectral_loss: float = 0.02  # what may at most be lost in MSS, at 95 % certainty
    distributional_loss: float = 0.15  # the same in KAD, which scatters more
    kad_floor: float = 0.5  # KAD below this counts as this: near 0 a fraction of it says nothing
    seed: int = 0  # of the resamples
    budgets: Budgets = dataclasses.field(default_factory=Budgets)

    def __post_init__(self) -> None:
        if self.items < 8 or self.draws < 1 or self.resamples < 100:
            raise ValueError("items must be at least 8, draws at least 1 and resamples at least 100.")
        if not 0 < self.risk < 0.5:
            raise ValueError("risk must lie between 0 and 0.5.")
        if self.margin < 0 or min(self.spectral_loss, self.distributional_loss, self.kad_floor) <= 0:
            raise ValueError("margin must not be negative; the losses and kad_floor must be above 0.")
