"""Sounds that cannot be used: why, how many of a folder are tolerated, and the table rejects.csv."""

import csv
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from dose.errors import DoseError
from dose.sources.item import SourceItem

REJECTS = "rejects.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rejected:
    """A line of rejects.csv."""

    source: str
    package: str
    origin: str
    cls: str
    reason: str  # one of cleaning.REASONS
    detail: str

    @classmethod
    def of(cls, item: SourceItem, reason: str, detail: str) -> "Rejected":
        return cls(
            source=item.source,
            package=item.package,
            origin=item.origin or item.name,
            cls=item.cls,
            reason=reason,
            detail=detail,
        )


def check_share(items: Sequence[SourceItem], rejected: Sequence[Rejected], allowed: float) -> None:
    """Raises DoseError when more than the share `allowed` of one folder's files were rejected.

    Duplicates do not count: a folder that repeats bundled sounds is not damaged.
    """
    for package in sorted({i.package for i in items if i.source == "folder"}):
        total = sum(i.package == package for i in items if i.source == "folder")
        # Of the user's folders only.
        bad = [
            r for r in rejected if r.package == package and r.source == "folder" and r.reason != "duplicate"
        ]
        if len(bad) > allowed * total:
            raise DoseError(
                f"{len(bad)} of {total} files of {package} cannot be used ({count_reasons(bad)}), "
                f"for example: {bad[0].detail} Mend them, or raise params.yaml: sources.max_reject_share."
            )


def count_reasons(rejected: Iterable[Rejected]) -> str:
    """Such as "3 silent, 1 too short"."""
    reasons = [r.reason for r in rejected]
    return ", ".join(f"{reasons.count(r)} {r}" for r in sorted(set(reasons)))


def write_rejects(path: Path, rejected: Iterable[Rejected]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, [field.name for field in dataclasses.fields(Rejected)])
        writer.writeheader()
        writer.writerows(dataclasses.asdict(r) for r in rejected)
