"""The overhead of the platform: a sweep against bare training, resuming after kill -9, 200 trials in MLflow.

The trials are stubs that sleep and write a state as large as that of a laptop-scale trial, so that only Ray,
MLflow and checkpoints are measured. Everything runs in a temporary folder.
"""

import argparse
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

EXAMPLE_SECONDS = 20.0
EVALUATIONS = 10
STATE_BYTES = 85 * 2**20  # four layers of 128: weights, EMA, two moments, the best model


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seconds", type=float, default=EXAMPLE_SECONDS, help="length of a stub trial (default: %(default)s)"
    )
    parser.add_argument(
        "--trials", type=int, default=200, help="runs in the search test (default: %(default)s)"
    )
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)  # for the driver that is killed


def run(args: argparse.Namespace) -> dict[str, Any]:
    if args.drive:
        _sweep(args.drive, args.seconds)
        return {}
    with tempfile.TemporaryDirectory() as scratch, _without_servers():
        figures = _overhead(Path(scratch) / "overhead", args.seconds)
        figures |= _resume(Path(scratch) / "resume", args.seconds)
        figures |= _search(Path(scratch) / "search", args.trials)
    for name, value in figures.items():
        print(f"{name:32s} {value:10.3f}")
    return figures


@contextlib.contextmanager
def _without_servers() -> Iterator[None]:
    """Uses neither the project's MLflow server nor its Ray cluster."""
    saved = {name: os.environ.pop(name, None) for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS")}
    try:
        yield
    finally:
        os.environ.update({name: value for name, value in saved.items() if value is not None})


def _stub(seconds: float, hyper: dict[str, Any], out: Path, report: Any) -> None:
    """EVALUATIONS evaluations in `seconds`; resumes from its state."""
    state = out / "state.json"
    done = json.loads(state.read_text()) if state.exists() else 0
    for step in range(done + 1, EVALUATIONS + 1):
        time.sleep(seconds / EVALUATIONS)
        (out / "best").mkdir(exist_ok=True)
        (out / "best" / "model.json").write_text("{}")
        (out / "weights").write_bytes(bytes(STATE_BYTES))
        state.write_text(str(step))
        report(step, {"val/loss": 1 / step, "val/mss": 1 / step})


def _sweep(root: Path, seconds: float) -> None:
    """One stub trial as a sweep of its own."""
    from dose.model.config import ModelConfig
    from dose.sweep import SweepConfig, run_sweep
    from dose.tokens.shards import Index, write_index
    from dose.train.config import FitConfig

    for split in ("train", "val"):
        (root / "tokens" / split).mkdir(parents=True, exist_ok=True)
        write_index(root / "tokens" / split, Index(codec_id="none", data_id="none", prompt={}, shards=()))
    fit = FitConfig(
        model=ModelConfig(layers=1, width=32, heads=2),
        steps=EVALUATIONS,
        warmup=1,
        evaluate_every=1,
        onset_weight=0.0,
    )
    config = SweepConfig(space={"lr": [1e-3]}, fit=fit, scheduler="none")
    run_sweep(
        config,
        "kick",
        root / "tokens",
        root / "codec",
        root / "out",
        root=root,
        train=functools.partial(_stub, seconds),
    )


def _overhead(root: Path, seconds: float) -> dict[str, float]:
    bare_out = root / "bare"
    bare_out.mkdir(parents=True)
    began = time.monotonic()
    _stub(seconds, {}, bare_out, lambda step, metrics: None)
    bare = time.monotonic() - began
    began = time.monotonic()
    _sweep(root, seconds)
    whole = time.monotonic() - began
    rows = [json.loads(line) for line in next(root.glob("data/.sweep/kick/*/trials/*/rows.jsonl")).open()]
    assert len(rows) == EVALUATIONS
    extra = whole - bare
    return {
        "bare_s": bare,
        "sweep_s": whole,
        "overhead_s": extra,
        "overhead_percent": 100 * extra / bare,
        # Starting, ending and EVALUATIONS checkpoints cost the same in a longer trial.
        "overhead_percent_of_10_min": 100 * extra / 600,
    }


def _resume(root: Path, seconds: float) -> dict[str, float]:
    """From the start of the second driver to the first new evaluation, less that evaluation's own time."""
    root.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "dose.cli",
        "bench",
        "sweep",
        "--drive",
        str(root),
        "--seconds",
        str(seconds),
    ]
    # 1. A driver in a process of its own, killed after some evaluations.
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: _rows(root) >= 3, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    # 2. The same command again, timed to its first new evaluation.
    before = _rows(root)
    began = time.monotonic()
    second = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _until(lambda: _rows(root) > before, second)
    resumed = time.monotonic() - began - seconds / EVALUATIONS
    second.wait()

    # 3. MLflow must hold one run per trial, and none that is still running.
    from dose.tracking import Tracker

    runs = list(Tracker("dose", root=root).runs({"dose.kind": "trial"}))
    return {
        "resume_s": resumed,
        "evaluations_repeated": float(_rows(root) - EVALUATIONS),
        "runs_after_resume": float(len(runs)),
        "runs_left_running": float(sum(r.status == "RUNNING" for r in runs)),
    }


def _rows(root: Path) -> int:
    return sum(len(p.read_text().splitlines()) for p in root.glob("data/.sweep/kick/*/trials/*/rows.jsonl"))


def _until(condition: Any, process: subprocess.Popen) -> None:
    while not condition():
        if process.poll() is not None:
            raise RuntimeError(f"the driver ended early with {process.returncode}")
        time.sleep(0.05)


def _search(root: Path, trials: int) -> dict[str, float]:
    from dose.sweep.table import Trial, ranking, read_trials, write_tables
    from dose.tracking import Outbox, Tracker

    tracker = Tracker("dose", root=root)
    root.mkdir(parents=True)
    tracker.ensure_store()
    made = []
    began = time.monotonic()
    with Outbox(tracker, root / "outbox", patience=3600) as outbox:
        for i in range(trials):
            outbox.open(f"s/{i}", f"t{i}", tags={"dose.sweep": "s"}, params={"lr": i})
            for step in range(1, 11):
                outbox.metrics(f"s/{i}", step, {"val/loss": i / step, "val/mss": i / step})
            outbox.end(f"s/{i}", "FINISHED")
            made.append(
                Trial(
                    id=str(i),
                    hyper={"lr": i},
                    status="FINISHED",
                    stopped="done",
                    steps=10,
                    score=float(i),
                    metrics={},
                )
            )
    delivered = time.monotonic() - began
    began = time.monotonic()
    found = len(list(tracker.runs({"dose.sweep": "s"})))
    searched = time.monotonic() - began
    assert found == trials
    about = {"drum": "kick", "sweep": "s", "select": "val/mss", "best": "0", "ablation": "0"}
    write_tables(root / "out", made, {}, about)
    began = time.monotonic()
    ranking(read_trials(root / "out")[1])
    return {
        "deliver_s": delivered,
        "mlflow_search_s": searched,
        "own_table_s": time.monotonic() - began,
    }
