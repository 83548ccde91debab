"""Logs a finished sweep to MLflow from its output folder, for a clone without the store of its runs."""

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

from dose.sweep.table import LEARNING, read_trials, trial_name, varied
from dose.tracking import Tracker
from dose.tracking.store import now_ms

COLUMNS = ("trial", "step")  # of the table of curves that are no metrics


def restore_runs(out: Path, tracker: Tracker) -> int:
    """One run per trial with its params and curves, below one for the sweep; returns how many were logged.

    0 where the store has the sweep, finished. Runs get the keys that the sweep itself gives them, so that
    a registered model finds its training. Audio examples, checkpoints and system metrics are not restored.
    """
    about, trials = read_trials(out)
    key, drum = str(about["sweep"]), str(about["drum"])
    known = tracker.find_run(key)
    if known is not None and known.status == "FINISHED":
        return 0
    tags = {"dose.sweep": key, "dose.drum": drum, "dose.restored": "true"}
    parent = tracker.open_run(key, f"{drum} sweep")
    tracker.set_tags(parent, tags | {"dose.kind": "sweep"})
    curves = _curves(out / LEARNING)
    names = varied(trials)
    for trial in trials:
        label = trial_name(trial.hyper, names)
        run = tracker.open_run(f"{key}/{trial.id}", f"{drum} {label}", parent=parent)
        tracker.set_tags(run, tags | {"dose.kind": "trial", "dose.trial": trial.id})
        tracker.log_params(run, {"drum": drum, **trial.hyper})
        tracker.log_metrics(run, [(step, now_ms(), row) for step, row in curves[label]])
        tracker.end_run(run, "FINISHED" if trial.status == "FINISHED" else "FAILED")
    tracker.end_run(parent, "FINISHED")  # last: a restoration that was killed is repeated
    return len(trials)


def _curves(table: Path) -> dict[str, list[tuple[int, dict[str, float]]]]:
    """A trial's name -> its evaluations."""
    curves: dict[str, list[Any]] = defaultdict(list)
    with table.open(newline="") as f:
        for row in csv.DictReader(f):
            values = {name: float(text) for name, text in row.items() if name not in COLUMNS and text}
            curves[row["trial"]].append((int(float(row["step"])), values))
    return curves
