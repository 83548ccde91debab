"""Logs an evaluation to MLflow: one run per bundle, reused where the same bundle is scored again."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dose import files
from dose.bundle import Bundle
from dose.config import with_old_names
from dose.evaluate.config import EvaluateConfig
from dose.evaluate.results import DEPRECATED_METRICS, Results
from dose.tracking import DatasetInput, Tracker, dvc_outputs, lineage_tags

EXPERIMENT = "dose"
TEST_SETS = "data/rmod"  # the output that holds them all
ARTIFACTS = ("table.md", "metrics.json", "comparisons.json", "listening.html")


def log_runs(
    results: Results,
    bundles: dict[str, str],
    config: EvaluateConfig,
    out: Path,
    *,
    models: Mapping[str, Bundle] | None = None,
    root: Path | str = ".",
    uri: str | None = None,
) -> list[str]:
    """Logs a run for each system in `bundles` (system name -> its key); returns the runs' ids.

    Metrics are <data set>/<drum>/<metric>, with _low and _high; artifacts are the table and the listening
    page; inputs are the test sets and, of the systems in `models` that this store saw in training, their
    logged models. Raises DoseError when the store cannot be reached.
    """
    digest = dvc_outputs(root).get(TEST_SETS, "unknown")
    datasets = [
        DatasetInput(name=name, digest=digest, path=TEST_SETS, context="evaluation", items=config.items)
        for name in config.datasets
    ]
    tracker = Tracker(EXPERIMENT, uri, root)
    tracker.ensure_store()
    runs = []
    for system, key in bundles.items():
        values = metrics_of(results, system)
        if not values:
            continue
        # The run's key holds the system's and the settings: the same evaluation finds its run again.
        run = tracker.open_run(f"evaluate/{key}/{files.hash_json(config)}", f"evaluate {system}")
        tags = {"dose.kind": "evaluation", "dose.system_name": system, "dose.system": key}
        # dose.row is the old name of dose.system_name, for one release.
        tracker.set_tags(run, {**lineage_tags(root), **tags, "dose.row": system})
        tracker.log_params(
            run, {"items": config.items, "seed": config.seed, "datasets": ",".join(config.datasets)}
        )
        bundle = (models or {}).get(system)
        if bundle is not None:
            ids = {"bundle": bundle.version, "codec_id": bundle.codec_id, "data_id": bundle.data_id}
            tracker.set_tags(run, {f"dose.{name}": value for name, value in ids.items()})
        digests = [files.hash_folder(bundle.checkpoint(drum)) for drum in bundle.drums] if bundle else []
        tracker.log_inputs(run, datasets, tracker.logged_models(digests))
        tracker.log_metrics(run, [(0, int(time.time() * 1000), values)])
        for name in ARTIFACTS:
            tracker.log_artifacts(run, out / name)
        tracker.end_run(run, "FINISHED")
        runs.append(run)
    return runs


def log_transcription(
    document: dict[str, Any],
    out: Path,
    settings: dict[str, Any],
    *,
    root: Path | str = ".",
    uri: str | None = None,
) -> list[str]:
    """Logs a run for each system of transcription.json (`document`), with the folder `out`; returns the ids.

    Metrics are <data set>/<class>/<metric>, with _low and _high. The same figures find their run again.
    Raises DoseError when the store cannot be reached.
    """
    tracker = Tracker(EXPERIMENT, uri, root)
    tracker.ensure_store()
    values: dict[str, dict[str, float]] = {}
    for dataset, about in document["data_sets"].items():
        for system, groups in about["systems"].items():
            for group, figures in groups.items():
                for metric, figure in figures.items():
                    # MLflow allows no plus sign in a metric's name.
                    name = f"{dataset}/{group.replace('+', '-')}/{metric}"
                    row = {
                        name: figure["value"],
                        f"{name}_low": figure["low"],
                        f"{name}_high": figure["high"],
                    }
                    values.setdefault(system, {}).update(row)
    runs = []
    for system, metrics in values.items():
        # Another network under the same name has other figures, and so a run of its own.
        key = files.hash_json([system, settings, metrics])
        run = tracker.open_run(f"transcription/{key}", f"transcription {system}")
        tags = {"dose.kind": "transcription evaluation", "dose.system_name": system}
        tracker.set_tags(run, {**lineage_tags(root), **tags})
        tracker.log_params(run, settings)
        tracker.log_metrics(run, [(0, int(time.time() * 1000), metrics)])
        tracker.log_artifacts(run, out)
        tracker.end_run(run, "FINISHED")
        runs.append(run)
    return runs


def metrics_of(results: Results, system: str) -> dict[str, float]:
    """{"rmod/kick/mss": value, "rmod/kick/mss_low": ...} of one system, deprecated metric names included."""
    out: dict[str, float] = {}
    for dataset, systems in results.estimates.items():
        for drum, estimates in systems.get(system, {}).items():
            for metric, e in with_old_names(estimates, DEPRECATED_METRICS).items():
                name = f"{dataset}/{drum}/{metric}"
                out |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high}
    return out
