"""The same figures in MLflow: one evaluation run per bundle, found again when the same is scored twice."""

import time
from pathlib import Path

from dose import files
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.results import Results
from dose.tracking import Tracker, lineage_tags

EXPERIMENT = "dose"
KEPT = ("table.md", "metrics.json", "comparisons.json", "listening.html")


def record(
    results: Results,
    bundles: dict[str, str],
    config: EvaluateConfig,
    out: Path,
    *,
    root: Path | str = ".",
    uri: str | None = None,
) -> list[str]:
    """Writes a run for each row in `bundles` (row -> key of its system) and gives the runs' ids.

    Metrics are <data set>/<drum>/<metric>, with _low and _high; artifacts the table and the listening page.
    Raises DoseError when the store cannot be reached.
    """
    tracker = Tracker(EXPERIMENT, uri, root)
    tracker.ensure_store()
    runs = []
    for row, key in bundles.items():
        found = metrics_of(results, row)
        if not found:
            continue
        run = tracker.open_run(f"evaluate/{key}/{files.hash_json(config)}", f"evaluate {row}")
        tracker.set_tags(
            run, {**lineage_tags(root), "dose.kind": "evaluation", "dose.row": row, "dose.system": key}
        )
        tracker.log_params(
            run, {"items": config.items, "seed": config.seed, "datasets": ",".join(config.datasets)}
        )
        tracker.log_metrics(run, [(0, int(time.time() * 1000), found)])
        for name in KEPT:
            tracker.log_artifacts(run, out / name)
        tracker.end_run(run, "FINISHED")
        runs.append(run)
    return runs


def metrics_of(results: Results, row: str) -> dict[str, float]:
    """{"rmod/kick/mss": value, "rmod/kick/mss_low": ...} of one row."""
    out: dict[str, float] = {}
    for dataset, rows in results.cells.items():
        for drum, cell in rows.get(row, {}).items():
            for metric, e in cell.items():
                name = f"{dataset}/{drum}/{metric}"
                out |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return out
