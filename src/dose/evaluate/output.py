"""Writes results to files: all metrics, scores.json for DVC, comparisons, per-item scores, tables."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from dose import files
from dose.config import with_old_names
from dose.evaluate import table
from dose.evaluate.results import DEPRECATED_METRICS, Estimates, Results, deprecated_system, is_reranked

# What DVC compares between commits and experiments: a spectral metric, one of sets, the attack, the class.
SCORES = ("mss", "kad_codec", "attack_ms", "classifier_accuracy")
# System -> its name in scores.json.
SCORED = {"DOSE": "dose", "DOSE without onset loss": "ablation", "DOSE with onset loss": "onset"}


def write(results: Results, out: Path, title: str = "Scores") -> None:
    """Fills the folder `out` with everything but plots and the listening page."""
    out.mkdir(parents=True, exist_ok=True)
    files.write_json(out / "metrics.json", metrics(results))
    files.write_json(out / "scores.json", summary_scores(results))
    improvements = _json(results.improvements)
    files.write_json(
        out / "comparisons.json",
        {
            "differences": _json(results.differences),
            "normalised_improvement": improvements,
            "gap_closed": improvements,  # the old name, for one release
        },
    )
    files.write_json(
        out / "notes.json",
        {
            "no_weights": results.unavailable,
            "warnings": results.warnings,
            # "row" is the old name of "system", for one release.
            "excluded": [vars(e) | {"row": e.system} for e in results.excluded],
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
    # Per-item scores, for paired tests by other tools.
    for (dataset, system, drum), scores in results.item_scores.items():
        path = out / "items" / dataset / f"{drum}-{slug(system)}.csv"
        _write_items(path, results.indices[dataset], scores)


def metrics(results: Results) -> dict[str, Any]:
    """{data set: {system: {drum: {metric: {value, n, low, high}}}}}, deprecated names beside today's."""
    found = _json(results.estimates)
    for systems in found.values():
        systems |= {old: drums for name, drums in systems.items() if (old := deprecated_system(name))}
    return found


def summary_scores(results: Results) -> dict[str, float]:
    """{"rmod.dose.kick.mss": value}: SCORES of the models trained here on the first data set, 36 at most.

    One number a key, as DVC's commands show a column or line for each; metrics.json holds the rest.
    """
    found = {}
    for dataset, systems in list(results.estimates.items())[:1]:
        for system, drums in systems.items():
            name = "reranked" if is_reranked(system) else SCORED.get(system)
            if name is None:
                continue
            for drum, estimates in drums.items():
                for metric in SCORES:
                    if metric in estimates:
                        found[f"{dataset}.{name}.{drum}.{metric}"] = round(estimates[metric].value, 4)
    return found


def slug(system: str) -> str:
    """A system's name as a file name: "Separation (HPSS)" -> "separation-hpss"."""
    return "-".join("".join(c if c.isalnum() else " " for c in system.lower()).split())


def _json(tree: Estimates) -> dict[str, Any]:
    return {
        dataset: {
            system: {
                drum: with_old_names({m: e.to_json() for m, e in by_metric.items()}, DEPRECATED_METRICS)
                for drum, by_metric in drums.items()
            }
            for system, drums in systems.items()
        }
        for dataset, systems in tree.items()
    }


def _write_items(path: Path, indices: list[int], scores: dict[str, np.ndarray]) -> None:
    """One line per item; an empty field where a metric is undefined for it."""
    with files.atomic(path) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["index", *scores])
        for i, index in enumerate(indices):
            values = [scores[m][i] for m in scores]
            writer.writerow([index, *("" if np.isnan(v) else f"{v:.6g}" for v in values)])
