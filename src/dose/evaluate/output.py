"""Writes the results: metrics.json for DVC, comparisons, per-item scores, tables."""

import csv
from pathlib import Path
from typing import Any

from dose import files
from dose.evaluate import table
from dose.evaluate.results import Results


def write(results: Results, out: Path, title: str = "Scores") -> None:
    """Fills the folder `out` with everything but pictures and sound."""
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "metrics.json", metrics(results))
    files.write_json(
        out / "comparisons.json",
        {"differences": _json(results.differences), "gap_closed": _json(results.gaps)},
    )
    files.write_json(
        out / "notes.json",
        {
            "no_weights": results.lacking,
            "warnings": results.warnings,
            "excluded": [vars(e) for e in results.excluded],
        },
    )
    texts = {
        "summary.md": table.summary(results, title),
        "table.md": table.markdown(results, title),
        "table.tex": table.latex(results),
    }
    for name, text in texts.items():
        with files.atomic(out / name) as beside:
            beside.write_text(text)
    for (dataset, row, drum), scores in results.items.items():
        _write_items(out / "items" / dataset / f"{drum}-{slug(row)}.csv", results.indices[dataset], scores)


def metrics(results: Results) -> dict[str, Any]:
    """{data set: {row: {drum: {metric: {value, n, low, high}}}}}."""
    return _json(results.cells)


def slug(row: str) -> str:
    """A row's name as a file name: "Separation (HPSS)" -> "separation-hpss"."""
    return "-".join("".join(c if c.isalnum() else " " for c in row.lower()).split())


def _json(tree: Any) -> Any:
    return {k: _json(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.cell()


def _write_items(path: Path, indices: list[int], scores: dict) -> None:
    """One line per item; an empty field where a metric is not defined for it."""
    with files.atomic(path) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["index", *scores])
        for i, index in enumerate(indices):
            values = [scores[m][i] for m in scores]
            writer.writerow([index, *("" if v != v else f"{v:.6g}" for v in values)])
