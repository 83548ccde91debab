"""A sweep's trials as tables and plots: ranked, written for DVC, read back."""

import csv
import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dose import files
from dose.errors import MissingInputError

TRIALS = "trials.json"
LEARNING = "learning.csv"  # every trial's curves
BEST = "best.csv"  # the curve of the trial that is saved as best/
LOG_RANGE = 30  # a plot's axis is logarithmic where the largest value exceeds so many times the smallest
SHOWN = (
    "val/mss",
    "val/loss",
    "val/onset_loss",
    "val/fad_codec",
    "val/conditioning_gap",
)  # metrics that get a column
TRAINING = ("train/loss", "train/full_loss", "train/onset_loss")  # in the table of curves
# Metrics that had another name in the last release: MLflow gets both for one release, and tables with the old
# names are read.
OLD_METRICS = {
    "val/conditioning_gap": "val/shuffle_gap",
    "val/onset_conditioning_gap": "val/onset_shuffle_gap",
    "val/spectrogram_loss": "val/picture_loss",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial; `metrics` are those of its best model, `score` the one that selects (lowest wins)."""

    id: str
    hyper: dict[str, Any]
    status: str  # FINISHED, FAILED, KILLED, RUNNING
    stopped: str  # reason of its end: "done", "time", "error", "driver", or the scheduler's name
    steps: int
    score: float | None  # None: never evaluated, or not a finite number
    metrics: dict[str, float]


def trial_name(hyper: dict[str, Any], varied: Sequence[str]) -> str:
    """For example "onset_weight=1 layers=4": the hyperparameters in which trials differ."""
    shown = {k: v for k, v in hyper.items() if k in varied} or hyper
    return " ".join(f"{k}={_text(v)}" for k, v in shown.items())


def varied(trials: Sequence[Trial]) -> list[str]:
    """The searched keys in which the trials differ; all where there is only one trial."""
    names = list(dict.fromkeys(name for t in trials for name in t.hyper))
    return [n for n in names if len({str(t.hyper.get(n)) for t in trials}) > 1] or names


def best_row(rows: Sequence[dict[str, float]], select: str) -> dict[str, float]:
    """The evaluation of a trial's best model: the lowest validation loss, as in `fit`."""
    by = "val/loss" if rows and "val/loss" in rows[0] else select
    return min(rows, key=lambda row: _finite(row.get(by)), default={})


def _finite(value: float | None) -> float:
    return math.inf if value is None or not math.isfinite(value) else value


def ranking(trials: Sequence[Trial]) -> list[Trial]:
    """Best first; those without a score last, in their order."""
    return sorted(trials, key=lambda t: _finite(t.score))


def as_good(trials: Sequence[Trial], select: str) -> list[Trial]:
    """The trials that score within one standard error of the best; none where that is unknown."""
    ranked = [t for t in ranking(trials) if t.score is not None]
    error = ranked[0].metrics.get(f"{select}_se") if ranked else None
    if error is None:
        return []
    return [t for t in ranked if _finite(t.score) <= _finite(ranked[0].score) + error]


def write_tables(
    out: Path, trials: Sequence[Trial], curves: dict[str, list[dict[str, float]]], about: dict[str, Any]
) -> None:
    """Writes trials.json, trials.csv, learning.csv, best.csv and their plots to the folder `out`."""
    ranked = ranking(trials)
    files.write_json(out / TRIALS, {**about, "trials": [_plain(t) for t in ranked]})
    names = list(dict.fromkeys(name for t in ranked for name in t.hyper))
    with files.atomic(out / "trials.csv") as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["rank", "trial", *names, "status", "stopped", "steps", *SHOWN, "val/mss_se"])
        for rank, t in enumerate(ranked, 1):
            metrics = [t.metrics.get(m, "") for m in (*SHOWN, "val/mss_se")]
            values = [t.hyper.get(n, "") for n in names]
            writer.writerow([rank, t.id, *values, t.status, t.stopped, t.steps, *metrics])
    # One line per evaluation, for DVC's plots.
    labels = {t.id: trial_name(t.hyper, varied(ranked)) for t in ranked}
    with files.atomic(out / LEARNING) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["trial", "step", *TRAINING, *SHOWN])
        for t in ranked:
            for row in curves.get(t.id, []):
                writer.writerow([labels[t.id], row["step"], *(row.get(m, "") for m in (*TRAINING, *SHOWN))])
    with files.atomic(out / BEST) as beside, beside.open("w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(["step", *TRAINING, *SHOWN])
        for row in curves.get(str(about.get("best")), []):
            writer.writerow([row["step"], *(row.get(m, "") for m in (*TRAINING, *SHOWN))])
    draw_parallel(out / "parallel.png", ranked, str(about["select"]))
    draw_curves(out / "learning.png", {labels[t.id]: curves.get(t.id, []) for t in ranked})


def _plain(trial: Trial) -> dict[str, Any]:
    finite = {name: v for name, v in trial.metrics.items() if math.isfinite(v)}
    return {**dataclasses.asdict(trial), "metrics": finite}


def read_trials(out: Path | str) -> tuple[dict[str, Any], list[Trial]]:
    """The files of `write_tables`: facts about the sweep, and its trials, best first.

    Raises MissingInputError where there are none.
    """
    path = Path(out) / TRIALS
    if not path.is_file():
        raise MissingInputError(f"{path} is missing; run the sweep first (`dvc repro sweep`).")
    about = json.loads(path.read_text())
    current = {old: new for new, old in OLD_METRICS.items()}
    trials = [
        Trial(**{**t, "metrics": {current.get(name, name): v for name, v in t["metrics"].items()}})
        for t in about.pop("trials")
    ]
    return about, trials


def draw_parallel(path: Path, trials: Sequence[Trial], select: str) -> None:
    """Parallel coordinates: one line per trial over the searched keys, ending at its score; dark is low."""
    import matplotlib
    from matplotlib.figure import Figure

    scored = [t for t in trials if t.score is not None]
    names = varied(scored)
    figure = Figure(figsize=(2.2 * (len(names) + 1) + 1, 4), layout="constrained")
    axes = figure.subplots()
    columns = [[t.hyper.get(n) for t in scored] for n in names] + [[t.score for t in scored]]
    heights = [_heights(column) for column in columns]
    colours = matplotlib.colormaps["viridis"]
    # Each trial is a line over the axes, coloured by its score on the last one.
    for i, _ in enumerate(scored):
        axes.plot([h[i] for h in heights], color=colours(heights[-1][i]), marker="o", alpha=0.8)
    for x, column in enumerate(columns):
        axes.axvline(x, color="0.8", zorder=0)
        for value, y in dict(zip(map(_text, column), heights[x], strict=True)).items():
            axes.annotate(value, (x, y), xytext=(4, 3), textcoords="offset points", fontsize=8)
    axes.set_xticks(range(len(columns)), [*names, select])
    axes.set_yticks([])
    axes.set_xlim(-0.2, len(columns) - 0.5)
    with files.atomic(path) as beside:
        figure.savefig(beside, dpi=100)


def _heights(column: Sequence[Any]) -> list[float]:
    """Values scaled to 0..1: numbers linearly (logarithmically over wide ranges), names evenly spaced."""
    if all(isinstance(v, int | float) and not isinstance(v, bool) for v in column):
        numbers = [float(v) for v in column]
        if min(numbers, default=1) > 0 and max(numbers, default=1) / min(numbers, default=1) > LOG_RANGE:
            numbers = [math.log(v) for v in numbers]
    else:
        places = sorted(set(map(str, column)))
        numbers = [float(places.index(str(v))) for v in column]
    low, high = min(numbers, default=0), max(numbers, default=1)
    return [(v - low) / (high - low) if high > low else 0.5 for v in numbers]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def draw_curves(path: Path, curves: dict[str, list[dict[str, float]]]) -> None:
    """Validation loss, onset loss and MSS over the steps, one line per trial."""
    from matplotlib.figure import Figure

    shown = [m for m in SHOWN[:3] if any(m in row for rows in curves.values() for row in rows)] or [
        "val/loss"
    ]
    figure = Figure(figsize=(4.2 * len(shown), 3.4), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, metric in zip(panels, shown, strict=True):
        for name, rows in curves.items():
            points = [(row["step"], row[metric]) for row in rows if metric in row]
            axes.plot([p[0] for p in points], [p[1] for p in points], marker=".", label=name)
        axes.set(title=metric, xlabel="step")
    if len(curves) <= 12:
        panels[0].legend(fontsize=7)
    with files.atomic(path) as beside:
        figure.savefig(beside, dpi=100)
