"""What the MLflow store takes and returns, as plain dataclasses."""

import dataclasses
from typing import Literal

Status = Literal["FINISHED", "FAILED", "KILLED"]  # of a run that ended


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A run as MLflow stores it."""

    id: str
    name: str
    status: str  # RUNNING, FINISHED, FAILED, KILLED, SCHEDULED
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]  # last values


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetInput:
    """Data that a run reads."""

    name: str
    digest: str  # DVC's hash of the output, as in dvc.lock; at most 36 characters
    path: str  # in the project
    context: Literal["training", "validation", "evaluation"]
    items: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: int
    hash: str
    aliases: tuple[str, ...]
    tags: dict[str, str]
    run_id: str | None
