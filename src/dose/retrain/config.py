"""params.yaml: retrain."""

import dataclasses
from pathlib import Path

from croniter import croniter

from dose.config import optional
from dose.registry.gate_config import GateConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Triggers:
    """What starts a run; null switches a trigger off. All are evaluated whenever `dose retrain` is started.

    The thresholds are defaults without a study.
    """

    cron: str | None = "0 3 * * 1"  # five fields, UTC; several missed times count once
    new_clips: int | None = 20  # sounds waiting in the watched folder
    drift: float | None = None  # distance of the service's recent inputs from the training mixes
    confidence_fall: float | None = 0.15  # of the mean confidence, as a fraction of the period before
    rerolls: float | None = 0.5  # share of extractions requested again with another seed
    window: int = 200  # smallest number of extractions for drift, confidence_fall and rerolls

    def __post_init__(self) -> None:
        if self.cron is not None and (len(self.cron.split()) != 5 or not croniter.is_valid(self.cron)):
            raise ValueError(f"triggers.cron '{self.cron}' is not a cron expression of five fields.")
        if self.window < 1 or any(
            x is not None and x <= 0 for x in (self.new_clips, self.drift, self.confidence_fall, self.rerolls)
        ):
            raise ValueError("triggers must be above 0, or null.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """Triggers, promotion gate and limits of retraining."""

    folder: str = "incoming"  # watched: <class>/<kit>/*.wav and licence.yaml
    triggers: Triggers = dataclasses.field(default_factory=Triggers)
    gate: GateConfig = dataclasses.field(default_factory=GateConfig)
    attempts: int = 3  # failed starts of one phase before the run is abandoned
    lock_hours: float = 24.0  # after this the lock of a machine that died counts as stale
    free_gb: float = 2.0  # disk space below which nothing is started
    image: str = "registry.example/dose:latest"  # of the Kubernetes targets
    claim: str = "dose-shared"  # persistent volume claim with the project, at /shared/dose/project
    # MLflow's server of the Kubernetes targets: that of deploy/ray/shared.yaml.
    tracking_uri: str = dataclasses.field(default="http://mlflow.default.svc:5000", metadata=optional())

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.lock_hours <= 0 or self.free_gb < 0:
            raise ValueError("attempts and lock_hours must be above 0, free_gb not below it.")
        if Path(self.folder).is_absolute() or ".." in Path(self.folder).parts:
            raise ValueError("folder must lie in the project.")
