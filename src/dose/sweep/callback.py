"""The driver's log of a sweep: a Tune callback stores what happens to each trial and sends it to MLflow.

All of it passes through the driver, so that a trial whose process or machine dies loses nothing it reported,
and one outbox preserves the order.
"""

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ray import tune
from tqdm import tqdm

from dose import files
from dose.config import with_old_names
from dose.sweep.config import EXAMPLES, SweepConfig
from dose.sweep.progress import SweepBar
from dose.sweep.storage import copy_from, is_file, list_folder
from dose.sweep.table import OLD_METRICS, Trial, best_row, draw_curves, trial_name
from dose.tracking import DatasetInput, Outbox

# By sweep id. Tune pickles its callbacks, so that they can hold an id but no open logger.
_open: dict[str, "SweepLogger"] = {}


class SweepLogger:
    """Logs the trials of sweep `sweep_id` in `folder/<trial id>/`; MLflow run keys are "sweep/trial"."""

    def __init__(
        self,
        sweep_id: str,
        config: SweepConfig,
        drum: str,
        folder: Path,
        outbox: Outbox,
        tags: dict[str, str],
        datasets: Sequence[DatasetInput] = (),
    ) -> None:
        self.sweep_id, self.config, self.drum = sweep_id, config, drum
        self.folder, self.outbox, self.tags, self.datasets = folder, outbox, tags, datasets
        self.began = time.monotonic()
        self.resumed: str | None = None  # while a paired run continues a trial: that trial
        total = config.most_trials * config.fit.steps
        # Without a terminal (CI, a log file) every update is a line of its own: one in ten seconds.
        self.bar = SweepBar(f"sweep {drum}", total, 0.5 if sys.stderr.isatty() else 10.0)
        _open[sweep_id] = self

    def close(self) -> None:
        self.bar.close()
        _open.pop(self.sweep_id, None)

    # Called by Tune's callback

    def start(self, trial: Any) -> None:
        name, hyper = self._id(trial), dict(trial.config)
        self.bar.started(trial.trial_id, name)
        if self._card(name).get("status") != "RUNNING":
            self._write(name, hyper=hyper, status="RUNNING", stopped="", error="")
        self.outbox.open(
            self._key(name),
            f"{self.drum} {trial_name(hyper, self.config.varied)}",
            parent=self.sweep_id,
            tags={**self.tags, "dose.kind": "trial", "dose.trial": name},
            params=self._params(hyper),
            datasets=self.datasets,
        )

    def _params(self, hyper: dict[str, Any]) -> dict[str, Any]:
        """Everything that shapes the trial, searched or not; names as in the search space."""
        fit = dataclasses.asdict(self.config.fit_for(hyper))
        model = fit.pop("model")
        ids = {
            name: self.tags[f"dose.{name}"] for name in ("codec_id", "data_id") if f"dose.{name}" in self.tags
        }
        sizes = {f"{d.context}_items": d.items for d in self.datasets}
        return {"drum": self.drum, **ids, **sizes, **fit, **model}

    def result(self, trial: Any, result: dict[str, Any]) -> None:
        if "step" not in result:
            return
        name, step = self._id(trial), int(result["step"])
        row = {k: float(v) for k, v in result.items() if "/" in k and not k.startswith("config/")}
        _append(self.folder / name / "rows.jsonl", json.dumps({"step": step, **row}))
        self.outbox.metrics(self._key(name), step, with_old_names(row, OLD_METRICS))
        self.bar.reached(name, step)

    def checkpoint(self, trial: Any, checkpoint: Any) -> None:
        """Copies its new listening examples before Tune replaces the checkpoint by the next."""
        name = self._id(trial)
        for example in list_folder(checkpoint, EXAMPLES):
            copy = self.folder / name / EXAMPLES / example
            if not copy.exists():
                copy_from(checkpoint, f"{EXAMPLES}/{example}", copy)
                self.outbox.artifacts(self._key(name), copy, f"{EXAMPLES}/{example}")

    def end(self, trial: Any, error: str = "") -> None:
        name = self._id(trial)
        if not self._card(name):  # it failed before it began
            self.start(trial)
        # 1. Why and when it ended.
        rows, folder = self.rows(name), self.folder / name
        steps = max((int(r["step"]) for r in rows), default=0)
        self.bar.ended(trial.trial_id, self.config.fit.steps)
        stopped = why_stopped(self.config, steps, time.monotonic() - self.began, error)
        self._write(name, status="FAILED" if error else "FINISHED", stopped=stopped, error=error)
        # 2. Its curve and best model, to MLflow as well.
        key = self._key(name)
        self.outbox.tags(key, {"dose.stopped": stopped} | ({"dose.error": error[-5000:]} if error else {}))
        if rows:
            draw_curves(folder / "learning.png", {name: rows})
            self.outbox.artifacts(key, folder / "learning.png")
        if trial.checkpoint is not None:
            self._write(name, checkpoint=trial.checkpoint.path)
            self._store_best(trial.checkpoint, name)
        self.outbox.end(key, "FAILED" if error else "FINISHED")
        # 3. One line for the terminal, above the progress bar.
        score = best_row(rows, self.config.select).get(self.config.select)
        outcome = (
            error.splitlines()[-1] if error else f"{self.config.select} {score:.4g}" if score else "no result"
        )
        label = trial_name(dict(trial.config), self.config.varied)
        tqdm.write(f"{self.drum} {label}: {stopped} at {steps}, {outcome}")

    def _store_best(self, checkpoint: Any, name: str) -> None:
        folder, key = self.folder / name, self._key(name)
        shutil.rmtree(folder / "best", ignore_errors=True)
        if not list_folder(checkpoint, "best"):
            return
        copy_from(checkpoint, "best", folder / "best")
        if is_file(checkpoint, "config.json"):
            copy_from(checkpoint, "config.json", folder / "config.json")
            self.outbox.artifacts(key, folder / "config.json")
        self.outbox.tags(key, _compute_tags(folder / "best"))
        # Identifies the model by its files, wherever it is evaluated.
        digest = files.hash_folder(folder / "best")
        self.outbox.model(
            key, f"dose-{self.drum}", folder / "best", {"dose.hash": digest, "dose.drum": self.drum}
        )

    # Called by the sweep

    def trials(self) -> list[Trial]:
        found = []
        for path in sorted(self.folder.glob("*/trial.json")):
            card, rows = files.read_json(path), self.rows(path.parent.name)
            best = best_row(rows, self.config.select)
            found.append(
                Trial(
                    id=path.parent.name,
                    hyper=card["hyper"],
                    status=card["status"],
                    stopped=card["stopped"],
                    steps=max((int(r["step"]) for r in rows), default=0),
                    score=best.get(self.config.select),
                    metrics={k: v for k, v in best.items() if not k.startswith("system/")},
                )
            )
        return found

    def rows(self, name: str) -> list[dict[str, float]]:
        """One row per evaluation in the order of steps; of a repeated step the last one."""
        path = self.folder / name / "rows.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        rows = {row["step"]: row for row in map(json.loads, filter(_is_complete, lines))}
        return [rows[step] for step in sorted(rows)]

    def best(self, trial: Trial) -> Path:
        return self.folder / trial.id / "best"

    def checkpoint_path(self, name: str) -> str:
        """Path of an ended trial's last checkpoint on the storage."""
        return str(self._card(name)["checkpoint"])

    def errors(self) -> list[str]:
        cards = [files.read_json(p) for p in sorted(self.folder.glob("*/trial.json"))]
        return [card["error"] for card in cards if card["error"]]

    def abandon(self) -> None:
        """Ends the MLflow runs of trials that this driver leaves unfinished."""
        for trial in self.trials():
            if trial.status == "RUNNING":
                self._write(trial.id, status="KILLED", stopped="driver")
                self.outbox.end(self._key(trial.id), "KILLED")

    def _id(self, trial: Any) -> str:
        return self.resumed or trial.trial_id

    def _key(self, name: str) -> str:
        return f"{self.sweep_id}/{name}"

    def _card(self, name: str) -> dict[str, Any]:
        path = self.folder / name / "trial.json"
        return files.read_json(path) if path.is_file() else {}

    def _write(self, name: str, **changes: Any) -> None:
        files.write_json(self.folder / name / "trial.json", {**self._card(name), **changes})


class TrialCallback(tune.Callback):
    """Passes Tune's calls to the open logger of a sweep; holds only its id, so that it can be pickled."""

    def __init__(self, sweep_id: str) -> None:
        self.sweep_id = sweep_id

    @property
    def logger(self) -> SweepLogger:
        return _open[self.sweep_id]

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.logger.start(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.logger.result(trial, result)

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        self.logger.checkpoint(trial, checkpoint)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.logger.end(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.logger.end(trial, _last_failure(trial) or "the trial's process died")


def why_stopped(config: SweepConfig, steps: int, seconds: float, error: str) -> str:
    """The reason of a trial's end at `steps`, `seconds` after its sweep began: see `Trial.stopped`."""
    if error:
        return "error"
    if steps >= config.fit.steps:
        return "done"
    return "time" if 0 < 60 * config.minutes <= seconds else config.scheduler


def _compute_tags(best: Path) -> dict[str, str]:
    """Device and number format of the trial's training: see `dose.compute`."""
    card = files.read_json(best / "model.json").get("meta", {}).get("compute", {})
    return {f"dose.{name}": str(value) for name, value in card.items()}


def _last_failure(trial: Any) -> str:
    """The traceback that Tune has just written on the driver's disk; it reaches the storage only later."""
    path = trial.error_file and Path(trial.error_file)
    return path.read_text().split("Failure # ")[-1].strip() if path and path.is_file() else ""


def _append(path: Path, line: str) -> None:
    """Appends a line; starts a new one where a killed driver left half a line."""
    before = path.read_bytes() if path.is_file() else b""
    with path.open("a") as f:
        f.write(("" if before.endswith(b"\n") or not before else "\n") + line + "\n")


def _is_complete(line: str) -> bool:
    """False for a line that a killed driver left half written."""
    return line.startswith("{") and line.endswith("}")
