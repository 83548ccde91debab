"""What an evaluation found: cells, per-item scores, comparisons, what was left out and why."""

import dataclasses
from pathlib import Path

import numpy as np

from dose.metrics.statistics import Estimate

TRUTH = (
    "Truth"  # the row of what needs no generated sound: the class check and copy check of the truth itself
)

# data set -> row (or "row - other row", or "row against baseline") -> drum -> metric
Tree = dict[str, dict[str, dict[str, dict[str, Estimate]]]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A row of the table: its name and the folder of its one-shots for a data set (see items.py)."""

    name: str
    folder: Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exclusion:
    """One item that is not in a row's means; of the row Truth: not in any row's."""

    dataset: str
    row: str
    drum: str
    index: int
    reason: str


@dataclasses.dataclass(kw_only=True)
class Results:
    """`items`: (data set, row, drum) -> per-item scores {metric: [n]}, in the order of `indices`.

    `curves`: (data set, row, drum, metric, items, value), distances between sets of fewer items.
    """

    cells: Tree = dataclasses.field(default_factory=dict)
    differences: Tree = dataclasses.field(default_factory=dict)
    gaps: Tree = dataclasses.field(default_factory=dict)
    items: dict[tuple[str, str, str], dict[str, np.ndarray]] = dataclasses.field(default_factory=dict)
    indices: dict[str, list[int]] = dataclasses.field(default_factory=dict)
    curves: list[tuple[str, str, str, str, int, float]] = dataclasses.field(default_factory=list)
    excluded: list[Exclusion] = dataclasses.field(default_factory=list)
    lacking: dict[str, str] = dataclasses.field(default_factory=dict)  # embedding -> why it has no column
    warnings: list[str] = dataclasses.field(default_factory=list)
    about: str = ""  # a sentence on the models that are scored, for the head of table and page


def put(tree: Tree, dataset: str, row: str, drum: str, estimates: dict[str, Estimate]) -> None:
    tree.setdefault(dataset, {}).setdefault(row, {})[drum] = estimates
