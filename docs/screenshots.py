"""Takes the screenshot of MLflow's compare-runs view in docs/sweeps.md, in a real browser.

    python docs/screenshots.py                  # the newest sweep over onset weights in mlflow.db
    python docs/screenshots.py --sweep          # a small sweep first, a few minutes, in a folder of its own

Needs Chromium, and for `--sweep` the output of `dvc repro tokens`. All servers listen on loopback.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from dose import config
from dose.errors import DoseError, MissingInputError
from dose.sweep import SweepConfig, run_sweep
from dose.tracking import RunRecord, Tracker

ROOT = Path(__file__).parent.parent
IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking"]
WEIGHTS = [0.0, 0.5, 1.0, 2.0]
PARAM = "onset_weight"


def small_sweep(project: Path, root: Path) -> None:
    """A sweep of the kick over four onset weights, on the project's tokens; MLflow's database: in `root`."""
    whole = config.load("sweep", SweepConfig, project / "params.yaml")
    fit = dataclasses.replace(whole.fit, steps=80, warmup=10, evaluate_every=10)
    small = dataclasses.replace(
        whole, space={PARAM: WEIGHTS, "layers": [2]}, fit=fit, scheduler="none", drums={}
    )
    run_sweep(
        small,
        "kick",
        project / "data" / "tokens",
        project / "data" / "codec",
        root / "data" / "sweep" / "kick",
        root=root,
    )


def trials_to_compare(tracker: Tracker) -> list[RunRecord]:
    """The trials of the newest finished sweep that has several onset weights, by weight."""
    for sweep in tracker.runs({"dose.kind": "sweep"}):
        of_sweep = {"dose.kind": "trial", "dose.sweep": sweep.tags["dose.sweep"]}
        trials = [t for t in tracker.runs(of_sweep) if t.status == "FINISHED" and PARAM in t.params]
        if sweep.status == "FINISHED" and len({t.params[PARAM] for t in trials}) > 1:
            return sorted(trials, key=lambda t: float(t.params[PARAM]))
    raise MissingInputError(
        f"No finished sweep in {tracker.uri} has several onset weights; run one (`dvc repro sweep@kick`) or "
        "call this with --sweep."
    )


@contextlib.contextmanager
def mlflow_ui(store: str, folder: Path) -> Iterator[str]:
    """Runs `mlflow ui` over a store within the block; yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", store]
    environment = os.environ | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (folder / "ui.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/health", server, folder / "ui.log")
            yield address
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def wait_for(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(600):
        if server.poll() is not None:
            raise DoseError(f"`mlflow ui` ended: {log.read_text()[-500:]}")
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.2)
    raise DoseError(f"`mlflow ui` did not answer at {url} within two minutes.")


def compare_url(address: str, experiment: str, trials: list[RunRecord]) -> str:
    def quoted(names: list[str]) -> str:
        return urllib.parse.quote(json.dumps(names))

    return (
        f"{address}/#/compare-runs?runs={quoted([t.id for t in trials])}&experiments={quoted([experiment])}"
    )


def take_screenshot(url: str, trials: list[RunRecord], to: Path) -> None:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise MissingInputError("Chromium is not installed; install the package `chromium`.")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport={"width": 1700, "height": 1900})
        page.set_default_timeout(90_000)
        page.goto(url)
        for trial in trials:
            page.get_by_text(trial.name).first.wait_for()
        for pane in page.get_by_role("button", name="Close").all():  # of the assistant, beside the table
            pane.click()
        page.wait_for_timeout(2000)
        to.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=to)
        browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sweep", action="store_true", help="run a small sweep first and show its trials")
    parser.add_argument("--project", type=Path, default=ROOT, help="folder with mlflow.db, tokens and codec")
    parser.add_argument("--to", type=Path, default=IMAGES / "mlflow-compare.png")
    args = parser.parse_args()
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with tempfile.TemporaryDirectory() as scratch:
        root = args.project
        if args.sweep:
            root = Path(scratch)
            small_sweep(args.project, root)
        tracker = Tracker("dose", root=root)
        trials = trials_to_compare(tracker)
        with mlflow_ui(tracker.uri, Path(scratch)) as address:
            take_screenshot(compare_url(address, tracker.experiment_id, trials), trials, args.to)
    print(f"{args.to} shows {', '.join(t.name for t in trials)}")


if __name__ == "__main__":
    try:
        main()
    except DoseError as e:
        sys.exit(str(e))
