"""The data structure of a finished evaluation: estimates, per-item scores, comparisons, exclusions."""

import dataclasses
from pathlib import Path

import numpy as np

from dose.metrics.bootstrap import Estimate

# The system of the reference-free metrics on the references themselves.
REFERENCE = "Reference"
# DOSE's models beyond the paper: the best of several samples (project.py).
RERANKED = "DOSE ({samples} samples, reranked)"
# Old names, written beside today's to metrics.json (metrics also to comparisons.json and MLflow) for one
# release.
DEPRECATED_METRICS = {
    "classifier_accuracy": "class_check",  # old name
    "nearest_train_db": "copy_db",
    "memorisation_rate": "nearer",
}

# data set -> system (or "system - other system", or "system against baseline") -> drum -> metric
Estimates = dict[str, dict[str, dict[str, dict[str, Estimate]]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SystemOutputs:
    """A system's name and the folder of its one-shots for a data set (layout: see datasets.py)."""

    name: str
    folder: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exclusion:
    """One item that is not in a system's means; with the system REFERENCE: not in any system's."""

    dataset: str
    system: str
    drum: str
    index: int
    reason: str


@dataclasses.dataclass(kw_only=True)
class Results:
    """`item_scores`: (data set, system, drum) -> {metric: [n]}, in the order of `indices`.

    `curves`: (data set, system, drum, metric, items, value), distances between sets of fewer items.
    """

    estimates: Estimates = dataclasses.field(default_factory=dict)
    differences: Estimates = dataclasses.field(default_factory=dict)
    improvements: Estimates = dataclasses.field(default_factory=dict)  # normalised, of MSS
    item_scores: dict[tuple[str, str, str], dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    indices: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    curves: list[tuple[str, str, str, str, int, float]] = dataclasses.field(default_factory=list)
    excluded: list[Exclusion] = dataclasses.field(default_factory=list)
    unavailable: dict[str, str] = dataclasses.field(default_factory=dict)  # embedding or system -> reason
    warnings: list[str] = dataclasses.field(default_factory=list)
    about: str = ""  # a sentence on the models that are scored, for the head of table and page


def put(tree: Estimates, dataset: str, system: str, drum: str, estimates: dict[str, Estimate]) -> None:
    tree.setdefault(dataset, {}).setdefault(system, {})[drum] = estimates


def deprecated_system(name: str) -> str | None:
    """The old name of a system that was renamed, else None."""
    if name == REFERENCE:
        return "Truth"  # old name
    return "DOSE, of several draws" if is_reranked(name) else None  # old name


def is_reranked(name: str) -> bool:
    """Whether a system is the project's DOSE with reranking, of however many samples."""
    prefix, _, suffix = RERANKED.partition("{samples}")
    return name.startswith(prefix) and name.endswith(suffix)
