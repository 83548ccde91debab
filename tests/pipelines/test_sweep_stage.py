"""The stage sweep of a real, tiny project: through servers, killed and repeated, with a changed param."""

import json
import subprocess
import sys
import time

import pytest
import yaml
from dag import Project, wait_for
from servers import free_port, mlflow_server, ray_head

from dose.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STEPS = [100, 200, 300, 400]


@pytest.fixture(scope="module")
def ready(tmp_path_factory) -> Project:
    """A project whose tokens are made, and whose sweeps last some ten seconds."""
    project = Project(tmp_path_factory.mktemp("sweep"))
    change(project, scheduler="none", **{"fit.steps": STEPS[-1], "fit.evaluate_every": STEPS[0]})
    project.repro("tokens")
    return project


def change(project: Project, **sweep) -> None:
    """Sets keys of params.yaml's section sweep; a dot leads into a mapping."""
    path = project.folder / "params.yaml"
    params = yaml.safe_load(path.read_text())
    for dotted, value in sweep.items():
        *way, last = dotted.split(".")
        place = params["sweep"]
        for key in way:
            place = place[key]
        place[last] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False))


def runs(project: Project, kind: str, uri: str | None = None) -> dict:
    """MLflow's runs of a kind by id."""
    tracker = Tracker("dose", uri=uri, root=project.folder)
    return {r.id: r for r in tracker.runs({"dose.kind": kind})}


def check_curves(project: Project, trials, uri: str | None = None) -> None:
    """Each trial: FINISHED, every evaluation once and in order of arrival, in each metric."""
    tracker = Tracker("dose", uri=uri, root=project.folder)
    for run in trials:
        assert run.status == "FINISHED"
        assert {"val/loss", "val/onset_loss", "val/mss", "train/loss"} <= set(run.metrics)
        for metric in run.metrics:
            assert [m.step for m in tracker.client.get_metric_history(run.id, metric)] == STEPS, metric


def reported(project: Project) -> dict[str, list[int]]:
    """Steps that each trial told the driver, in order, those of a killed driver included."""
    files = (project.folder / "data/.sweep/kick").glob("*/trials/*/rows.jsonl")
    whole = {p.parent.name: p.read_text().split("\n")[:-1] for p in files}
    return {trial: [json.loads(line)["step"] for line in lines] for trial, lines in whole.items()}


def kill_in_mid_sweep(project: Project) -> dict[str, list[int]]:
    """SIGKILL for dvc once a new trial has been evaluated twice; what the new ones had reported by then."""
    old = set(reported(project))

    def new() -> dict[str, list[int]]:
        return {trial: steps for trial, steps in reported(project).items() if trial not in old}

    killed = project.start("sweep@kick")
    wait_for(
        lambda: max(map(len, new().values()), default=0) >= 2 or killed.poll() is not None,
        300,
        "a trial's second evaluation",
    )
    killed.kill()
    killed.wait()
    wait_for(lambda: not project.working(), 20, "the driver ends with dvc")
    wait_for(lambda: not project.alive(), 90, "all that dvc had started ends with it")
    assert 2 <= max(map(len, new().values())) < len(STEPS), "it was not killed in the middle"
    return new()


def test_killed_and_repeated_it_goes_on_and_a_changed_param_starts_anew(ready):
    before = kill_in_mid_sweep(ready)
    (parent,) = runs(ready, "sweep").values()
    children = runs(ready, "trial")
    assert parent.status == "RUNNING"
    assert {r.status for r in children.values()} == {"RUNNING"}

    ready.repro("sweep@kick")
    assert {k: v.status for k, v in runs(ready, "sweep").items()} == {parent.id: "FINISHED"}
    finished = runs(ready, "trial")
    assert len(finished) == 2  # onset weights 0 and 1
    assert set(children) <= set(finished)
    check_curves(ready, finished.values())
    for trial, steps in reported(ready).items():
        seen = before.get(trial, [])
        assert steps[: len(seen)] == seen
        again = set(steps[len(seen) :]) & set(seen)
        assert len(again) <= 1, f"{trial} lost more than one interval: {steps} after {seen}"

    # Another value of a param, killed as well: its state must not serve the value that comes after it.
    change(ready, **{"fit.lr": 0.01})
    kill_in_mid_sweep(ready)
    change(ready, **{"fit.lr": 0.0003})
    began = time.time() * 1000
    ready.repro("sweep@kick")
    parents = {r.status: r for r in runs(ready, "sweep").values() if r.id != parent.id}
    assert sorted(parents) == ["FINISHED", "KILLED"]
    sweep = parents["FINISHED"].tags["dose.sweep"]
    trials = [r for r in runs(ready, "trial").values() if r.tags["dose.sweep"] == sweep]
    stale = [r for r in runs(ready, "trial").values() if r.tags["dose.sweep"] != sweep]
    assert len(trials) == 2
    assert {r.status for r in stale if r.id not in finished} == {"KILLED"}
    check_curves(ready, trials)
    client = Tracker("dose", root=ready.folder).client
    for run in trials:
        assert min(m.timestamp for m in client.get_metric_history(run.id, "val/loss")) > began
    best = ready.folder / "data/sweep/kick/best"
    assert json.loads((best / "model.json").read_text())["meta"]["sweep"] == sweep
    assert [p.name for p in (ready.folder / "data/.sweep/kick").iterdir()] == [sweep]

    # The same params from nothing at all give the same bytes: no weight came from an older sweep.
    weights = (best / "weights.safetensors").read_bytes()
    ready.run("rm", "-r", "data/.sweep", "data/sweep")
    ready.repro("--force", "--single-item", "sweep@kick")
    assert (best / "weights.safetensors").read_bytes() == weights


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_the_same_stage_runs_on_a_cluster_and_logs_to_a_server(ready, tmp_path, store, request):
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    behind = request.getfixturevalue("postgres") if store == "postgresql" else f"sqlite:///{tmp_path / 'db'}"
    seed = {"sqlite": 11, "postgresql": 12}[store]
    change(ready, seed=seed)  # a sweep that is not done yet
    with mlflow_server(tmp_path, behind, port), ray_head(cpus=2) as (cluster, folder):
        ready.more = {"MLFLOW_TRACKING_URI": uri, **cluster}
        try:
            stranger = ready.environment | {"RAY_AUTH_TOKEN": "0" * 64}
            code = "from dose.cluster import start_ray; start_ray()"
            refused = subprocess.run(
                [sys.executable, "-c", code], env=stranger, capture_output=True, text=True
            )
            assert "No Ray cluster answers at RAY_ADDRESS" in refused.stderr
            ready.repro("sweep@kick")
        finally:
            ready.more = {}
        (parent,) = runs(ready, "sweep", uri).values()
        trials = runs(ready, "trial", uri).values()
        assert parent.status == "FINISHED"
        assert {r.params["onset_weight"] for r in trials} == {"0.0", "1.0"}
        assert {r.tags["mlflow.parentRunId"] for r in trials} == {parent.id}
        check_curves(ready, trials, uri)
        tracker = Tracker("dose", uri=uri)
        for run in trials:
            artifacts = {f.path for f in tracker.client.list_artifacts(run.id)}
            assert {"config.json", "learning.png", "examples"} <= artifacts
        assert len(tracker.client.search_logged_models([tracker.experiment_id])) == 2
        logs = folder / "session_latest" / "logs"
        assert list(logs.glob("python-core-driver-*")), "no driver ever reached the cluster"
    assert (ready.folder / "data/sweep/kick/best/weights.safetensors").is_file()
