"""The driver's memory of a sweep: what Tune tells about each trial, kept on disk and passed on to MLflow.

Everything goes through the driver, so that a trial whose process or machine dies loses nothing it had
reported, and one outbox keeps the order.
"""

import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray import tune
from tqdm import tqdm

from dose import files
from dose.sweep.config import EXAMPLES, SweepConfig
from dose.sweep.progress import SweepBar
from dose.sweep.table import Trial, best_row, draw_curves, trial_name
from dose.tracking import Outbox

_open: dict[str, "SweepLogger"] = {}  # by sweep id: Tune pickles its callbacks and restores them from there


class SweepLogger:
    """Records of the trials of sweep `sweep_id`, in `folder/<trial id>/`; run keys are "sweep/trial"."""

    def __init__(
        self,
        sweep_id: str,
        config: SweepConfig,
        drum: str,
        folder: Path,
        outbox: Outbox,
        tags: dict[str, str],
    ) -> None:
        self.sweep_id, self.config, self.drum = sweep_id, config, drum
        self.folder, self.outbox, self.tags = folder, outbox, tags
        self.began = time.monotonic()
        self.continues: str | None = None  # while a twin runs: the trial that it goes on with
        total = config.most_trials * config.fit.steps
        # Where there is no terminal (CI, a log file) a line every ten seconds is enough.
        self.bar = SweepBar(f"sweep {drum}", total, 0.5 if sys.stderr.isatty() else 10.0)
        _open[sweep_id] = self

    def close(self) -> None:
        self.bar.close()
        _open.pop(self.sweep_id, None)

    # Told by Tune

    def start(self, trial: Any) -> None:
        name, hyper = self._id(trial), dict(trial.config)
        self.bar.started(trial.trial_id, name)
        if self._card(name).get("status") != "RUNNING":
            self._write(name, hyper=hyper, status="RUNNING", stopped="", error="")
        self.outbox.open(
            self._key(name),
            trial_name(hyper, self.config.varied),
            parent=self.sweep_id,
            tags={**self.tags, "dose.kind": "trial", "dose.trial": name},
            params=hyper,
        )

    def result(self, trial: Any, result: dict[str, Any]) -> None:
        if "step" not in result:
            return
        name, step = self._id(trial), int(result["step"])
        row = {k: float(v) for k, v in result.items() if "/" in k and not k.startswith("config/")}
        _append(self.folder / name / "rows.jsonl", json.dumps({"step": step, **row}))
        self.outbox.metrics(self._key(name), step, row)
        self.bar.reached(name, step)

    def checkpoint(self, trial: Any, checkpoint: Any) -> None:
        """Takes the new listening examples out of it before Tune replaces it by the next."""
        name = self._id(trial)
        for info in _children(checkpoint, EXAMPLES):
            kept = self.folder / name / EXAMPLES / info.base_name
            if not kept.exists():
                _fetch(checkpoint, f"{EXAMPLES}/{info.base_name}", kept)
                self.outbox.artifacts(self._key(name), kept, f"{EXAMPLES}/{info.base_name}")

    def end(self, trial: Any, error: str = "") -> None:
        name = self._id(trial)
        if not self._card(name):  # it failed before it began
            self.start(trial)
        rows, place = self.rows(name), self.folder / name
        steps = max((int(r["step"]) for r in rows), default=0)
        self.bar.ended(trial.trial_id, self.config.fit.steps)
        stopped = why_stopped(self.config, steps, time.monotonic() - self.began, error)
        self._write(name, status="FAILED" if error else "FINISHED", stopped=stopped, error=error)
        key = self._key(name)
        self.outbox.tags(key, {"dose.stopped": stopped} | ({"dose.error": error[-5000:]} if error else {}))
        if rows:
            draw_curves(place / "learning.png", {name: rows})
            self.outbox.artifacts(key, place / "learning.png")
        if trial.checkpoint is not None:
            self._write(name, checkpoint=trial.checkpoint.path)
            self._keep_best(trial.checkpoint, name)
        self.outbox.end(key, "FAILED" if error else "FINISHED")
        score = best_row(rows, self.config.select).get(self.config.select)
        said = (
            error.splitlines()[-1] if error else f"{self.config.select} {score:.4g}" if score else "no result"
        )
        tqdm.write(
            f"{self.drum} {trial_name(dict(trial.config), self.config.varied)}: {stopped} at {steps}, {said}"
        )

    def _keep_best(self, checkpoint: Any, name: str) -> None:
        place, key = self.folder / name, self._key(name)
        shutil.rmtree(place / "best", ignore_errors=True)
        if not any(_children(checkpoint, "best")):
            return
        _fetch(checkpoint, "best", place / "best")
        if _type(checkpoint, "config.json") == pyarrow.fs.FileType.File:
            _fetch(checkpoint, "config.json", place / "config.json")
            self.outbox.artifacts(key, place / "config.json")
        self.outbox.tags(key, _compute_tags(place / "best"))
        digest = files.hash_json({p.name: files.sha256(p) for p in (place / "best").iterdir()})
        self.outbox.model(
            key, f"dose-{self.drum}", place / "best", {"dose.hash": digest, "dose.drum": self.drum}
        )

    # Asked by the sweep

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
        """One row per evaluation in the order of steps; the later word counts where a step was repeated."""
        path = self.folder / name / "rows.jsonl"
        lines = path.read_text().splitlines() if path.is_file() else []
        rows = {row["step"]: row for row in map(json.loads, filter(_whole, lines))}
        return [rows[step] for step in sorted(rows)]

    def best(self, trial: Trial) -> Path:
        return self.folder / trial.id / "best"

    def checkpoint_path(self, name: str) -> str:
        """Where the last whole state of an ended trial lies on the storage."""
        return str(self._card(name)["checkpoint"])

    def errors(self) -> list[str]:
        cards = [files.read_json(p) for p in sorted(self.folder.glob("*/trial.json"))]
        return [card["error"] for card in cards if card["error"]]

    def abandon(self) -> None:
        """Ends the runs of trials that this driver leaves unfinished."""
        for trial in self.trials():
            if trial.status == "RUNNING":
                self._write(trial.id, status="KILLED", stopped="driver")
                self.outbox.end(self._key(trial.id), "KILLED")

    def _id(self, trial: Any) -> str:
        return self.continues or trial.trial_id

    def _key(self, name: str) -> str:
        return f"{self.sweep_id}/{name}"

    def _card(self, name: str) -> dict[str, Any]:
        path = self.folder / name / "trial.json"
        return files.read_json(path) if path.is_file() else {}

    def _write(self, name: str, **changes: Any) -> None:
        files.write_json(self.folder / name / "trial.json", {**self._card(name), **changes})


class TrialCallback(tune.Callback):
    """Passes Tune's calls to the open recorder of a sweep; holds nothing but its id, so that it pickles."""

    def __init__(self, sweep_id: str) -> None:
        self.sweep_id = sweep_id

    @property
    def recorder(self) -> SweepLogger:
        return _open[self.sweep_id]

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.recorder.start(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.recorder.result(trial, result)

    def on_checkpoint(
        self, iteration: int, trials: list[Any], trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        self.recorder.checkpoint(trial, checkpoint)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.recorder.end(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.recorder.end(trial, _last_failure(trial) or "the trial's process died")


def why_stopped(config: SweepConfig, steps: int, seconds: float, error: str) -> str:
    """Why a trial ended that did `steps` steps, `seconds` after its sweep began: `Trial.stopped`."""
    if error:
        return "error"
    if steps >= config.fit.steps:
        return "done"
    return "time" if 0 < 60 * config.minutes <= seconds else config.scheduler


def _compute_tags(best: Path) -> dict[str, str]:
    """On what, and in which number format, the trial trained: see `dose.compute`."""
    made = files.read_json(best / "model.json").get("meta", {}).get("compute", {})
    return {f"dose.{name}": str(value) for name, value in made.items()}


def _last_failure(trial: Any) -> str:
    """The traceback that Tune has just written beside the driver; it reaches the storage only later."""
    path = trial.error_file and Path(trial.error_file)
    return path.read_text().split("Failure # ")[-1].strip() if path and path.is_file() else ""


def _append(path: Path, line: str) -> None:
    """A line of its own, also where a killed driver left half of one."""
    before = path.read_bytes() if path.is_file() else b""
    with path.open("a") as f:
        f.write(("" if before.endswith(b"\n") or not before else "\n") + line + "\n")


def _whole(line: str) -> bool:
    """False for the line that a killed driver was writing."""
    return line.startswith("{") and line.endswith("}")


def _children(checkpoint: Any, folder: str) -> list[pyarrow.fs.FileInfo]:
    selector = pyarrow.fs.FileSelector(f"{checkpoint.path}/{folder}", allow_not_found=True)
    return list(checkpoint.filesystem.get_file_info(selector))


def _type(checkpoint: Any, name: str) -> pyarrow.fs.FileType:
    return checkpoint.filesystem.get_file_info(f"{checkpoint.path}/{name}").type


def _fetch(checkpoint: Any, name: str, to: Path) -> None:
    """A file or folder of a checkpoint, wherever it is stored, whole or not at all."""
    with files.atomic(to) as beside:
        if _type(checkpoint, name) == pyarrow.fs.FileType.Directory:
            beside.mkdir()
        pyarrow.fs.copy_files(
            f"{checkpoint.path}/{name}", str(beside), source_filesystem=checkpoint.filesystem
        )
