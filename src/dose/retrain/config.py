"""params.yaml: retrain."""

import dataclasses
from pathlib import Path

from croniter import croniter

from dose.registry.gate_config import GateConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Triggers:
    """What starts a run; null switches one off. Each is looked at whenever `dose retrain` is started."""

    cron: str | None = "0 3 * * 1"  # five fields, UTC; a time that was missed is made up for once
    new_clips: int | None = 20  # sounds waiting in the watched folder
    drift: float | None = None  # distance of the service's recent inputs from the training mixes
    confidence_fall: float | None = 0.15  # of the mean confidence, as a fraction of the one before
    rerolls: float | None = 0.5  # share of extractions asked for again with another seed
    window: int = 200  # extractions that drift and quality are judged on, at least

    def __post_init__(self) -> None:
        if self.cron is not None and (len(self.cron.split()) != 5 or not croniter.is_valid(self.cron)):
            raise ValueError(f"triggers.cron '{self.cron}' is not a cron expression of five fields.")
        if self.window < 1 or any(
            x is not None and x <= 0 for x in (self.new_clips, self.drift, self.confidence_fall, self.rerolls)
        ):
            raise ValueError("triggers must be above 0, or null.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """The one description of retraining: triggers, gate, and how carefully the job goes about it."""

    folder: str = "incoming"  # watched: <class>/<kit>/*.wav and licence.yaml
    triggers: Triggers = dataclasses.field(default_factory=Triggers)
    gate: GateConfig = dataclasses.field(default_factory=GateConfig)
    attempts: int = 3  # starts that may fail in one phase before the run is given up
    lock_hours: float = 24.0  # after this a lock counts as left behind by a dead machine
    free_gb: float = 2.0  # disk space below which nothing is begun
    image: str = "registry.example/dose:latest"  # of the Kubernetes targets
    claim: str = "dose-shared"  # the volume with the project, at /shared/dose/project

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.lock_hours <= 0 or self.free_gb < 0:
            raise ValueError("attempts and lock_hours must be above 0, free_gb not below it.")
        if Path(self.folder).is_absolute() or ".." in Path(self.folder).parts:
            raise ValueError("folder must lie in the project.")
