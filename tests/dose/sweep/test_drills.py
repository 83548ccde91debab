"""Sweeps with accidents; MLflow is asked afterwards what it knows."""

import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers import free_port, mlflow_server

from dose.sweep import read_trials
from dose.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
HERE = Path(__file__).parent


def environment(**more):
    search = os.pathsep.join([str(HERE), os.environ["PYTHONPATH"]])
    return os.environ | {"PYTHONPATH": search, "CUDA_VISIBLE_DEVICES": ""} | more


def drill(name, root, pause=0.01, **env):
    command = [sys.executable, "-m", "sweep_drills", name, str(root), str(pause)]
    return subprocess.run(
        command, env=environment(**env), cwd=root, capture_output=True, text=True, timeout=500
    )


def starts(root):
    return [json.loads(line) for line in (root / "log").read_text().splitlines()]


def runs_of(root, kind, uri=None):
    return list(Tracker("dose", uri=uri, root=root).runs({"dose.kind": kind}))


def check_curves(root, steps=(10, 20, 30, 40), trials=2, uri=None):
    """One finished parent, `trials` finished children, each with one unbroken curve."""
    tracker = Tracker("dose", uri=uri, root=root)
    children = runs_of(root, "trial", uri)
    assert [r.status for r in runs_of(root, "sweep", uri)] == ["FINISHED"]
    assert [r.status for r in children] == ["FINISHED"] * trials
    assert len({r.tags["dose.trial"] for r in children}) == trials
    for run in children:
        history = tracker.client.get_metric_history(run.id, "val/mss")
        assert [m.step for m in history] == list(steps)  # in the order of arrival
    return children


def check_each_metric_rises(root):
    """Whatever happened: every run of the store has ended, and none has a step twice or out of order."""
    tracker = Tracker("dose", root=root)
    for run in runs_of(root, "sweep") + runs_of(root, "trial"):
        assert run.status in {"FINISHED", "FAILED", "KILLED"}
        for metric in run.metrics:
            steps = [m.step for m in tracker.client.get_metric_history(run.id, metric)]
            assert steps == sorted(set(steps)), (run.name, metric)


def test_a_whole_sweep_and_a_second_call(project):
    done = drill("plain", project)
    assert done.returncode == 0, done.stderr
    children = check_curves(project)
    tags = children[0].tags
    for name in (
        "dvc_lock",
        "git_dirty",
        "params",
        "codec_id",
        "data_id",
        "drum",
        "seed",
        "host",
        "hardware",
    ):
        assert tags[f"dose.{name}"]
    assert tags["mlflow.parentRunId"] == runs_of(project, "sweep")[0].id
    tracker = Tracker("dose", root=project)
    artifacts = {f.path for f in tracker.client.list_artifacts(children[0].id)}
    assert {"config.json", "learning.png", "examples"} <= artifacts
    evaluations = {f.path for f in tracker.client.list_artifacts(children[0].id, "examples")}
    assert evaluations == {f"examples/{s:07d}" for s in (10, 20, 30, 40)}
    assert "system/cpu_utilization_percentage" in children[0].metrics
    models = tracker.client.search_logged_models([tracker.experiment_id])
    assert {m.source_run_id for m in models} == {r.id for r in children}
    out = project / "data" / "sweep" / "kick"
    assert json.loads((out / "best" / "model.json").read_text())["hyper"] == {"onset_weight": 1.0}
    assert json.loads((out / "ablation" / "model.json").read_text())["hyper"] == {"onset_weight": 0.0}
    about, trials = read_trials(out)
    assert [t.hyper["onset_weight"] for t in trials] == [1.0, 0.0]
    assert about["best"] == trials[0].id
    assert drill("plain", project).returncode == 0
    check_curves(project)
    assert len(starts(project)) == 2  # nothing was trained again


def kill_driver_when(root, name, ready, pause):
    command = [sys.executable, "-m", "sweep_drills", name, str(root), str(pause)]
    said = root / "driver.log"
    with said.open("w") as log:
        driver = subprocess.Popen(command, env=environment(), cwd=root, stderr=log)
    try:
        deadline = time.monotonic() + 400
        while not ready():
            assert driver.poll() is None, said.read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()


def rows_on_disk(root):
    return sum(len(p.read_text().splitlines()) for p in root.glob("data/.sweep/kick/*/trials/*/rows.jsonl"))


def test_a_killed_driver_goes_on_where_it_was(project):
    kill_driver_when(project, "plain", lambda: rows_on_disk(project) >= 5, pause=0.2)
    assert {r.status for r in runs_of(project, "trial")} == {"RUNNING"}
    pids = {s["pid"] for s in starts(project)}
    first = len(starts(project))
    time.sleep(5)
    for pid in pids:  # nothing goes on writing
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    done = drill("plain", project, pause=0.01)
    assert done.returncode == 0, done.stderr
    check_curves(project)
    resumed = starts(project)[first:]
    assert len(resumed) == 2
    assert all(s["from"] >= 10 for s in resumed)  # five rows: both had reported twice


def test_changed_params_start_anew_and_end_the_old_runs(project):
    kill_driver_when(project, "plain", lambda: rows_on_disk(project) >= 3, pause=0.2)
    before = len(starts(project))
    done = drill("changed", project)
    assert done.returncode == 0, done.stderr
    assert [s["from"] for s in starts(project)[before:]] == [0, 0]
    states = collections.Counter(r.status for kind in ("sweep", "trial") for r in runs_of(project, kind))
    assert states == {"FINISHED": 3, "KILLED": 3}
    check_each_metric_rises(project)
    assert len(list((project / "data" / ".sweep" / "kick").iterdir())) == 1


def test_a_killed_trial_is_one_run(project):
    done = drill("trial_killed", project)
    assert done.returncode == 0, done.stderr
    check_curves(project)
    assert (project / "killed").exists()
    assert sorted(s["from"] for s in starts(project)) == [0, 0, 10]


def test_a_failing_trial_is_a_failed_run_and_the_others_count(project):
    done = drill("trial_fails", project)
    assert done.returncode == 0, done.stderr
    runs = {r.params["onset_weight"]: r for r in runs_of(project, "trial")}
    assert (runs["0.0"].status, runs["1.0"].status) == ("FINISHED", "FAILED")
    assert "the loss is not a number" in runs["1.0"].tags["dose.error"]
    assert [r.status for r in runs_of(project, "sweep")] == ["FINISHED"]
    assert len(runs) == 2
    check_each_metric_rises(project)


def test_a_machine_is_unplugged_and_another_joins(project):
    done = drill("node_killed", project, pause=0.6)
    assert done.returncode == 0, done.stderr
    check_curves(project)
    first, second, third = starts(project)
    assert {first["from"], second["from"]} == {0}
    assert third["from"] >= 10  # from its last evaluation
    unplugged, joined = (project / "unplugged").read_text(), (project / "joined").read_text()
    assert unplugged in {first["node"], second["node"]}
    assert third["node"] == joined


def test_asha_stops_the_worse_and_the_paired_run_trains_as_long(project):
    done = drill("asha", project, pause=0.02)
    assert done.returncode == 0, done.stderr
    runs = runs_of(project, "trial")
    assert [r.status for r in runs] == ["FINISHED"] * 4
    assert [r.status for r in runs_of(project, "sweep")] == ["FINISHED"]
    check_each_metric_rises(project)
    about, trials = read_trials(project / "data" / "sweep" / "kick")
    by_id = {t.id: t for t in trials}
    best, paired = by_id[about["best"]], by_id[about["ablation"]]
    assert best.hyper["onset_weight"] == 1.0
    assert paired.hyper == {**best.hyper, "onset_weight": 0.0}
    assert paired.steps >= best.steps
    assert any(t.stopped == "asha" and t.steps < 40 for t in trials)


@pytest.mark.parametrize(("name", "trials"), [("optuna", 4), ("random_pbt", 3)])
def test_other_searches_and_schedules(project, name, trials):
    done = drill(name, project, pause=0.02)
    assert done.returncode == 0, done.stderr
    # The paired run without the onset loss is one more, where the search did not include it.
    assert [r.status for r in runs_of(project, "trial")] == ["FINISHED"] * (trials + 1)
    assert [r.status for r in runs_of(project, "sweep")] == ["FINISHED"]
    check_each_metric_rises(project)
    _, ranked = read_trials(project / "data" / "sweep" / "kick")
    assert len({t.hyper["lr"] for t in ranked}) >= 3


def test_mlflow_is_down_for_a_minute(project):
    """Its server is killed in mid-sweep; training goes on, and what was said meanwhile arrives in order."""
    port = free_port()
    store, uri = f"sqlite:///{project / 'mlflow.db'}", f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "sweep_drills", "plain", str(project), "0.3"]
    with mlflow_server(project, store, port):
        driver = subprocess.Popen(
            command, env=environment(MLFLOW_TRACKING_URI=uri), cwd=project, stderr=subprocess.PIPE, text=True
        )
        while rows_on_disk(project) < 2:
            assert driver.poll() is None, driver.stderr.read()
            time.sleep(0.1)
    before = rows_on_disk(project)
    time.sleep(60)
    assert rows_on_disk(project) > before
    with mlflow_server(project, store, port):
        _, said = driver.communicate(timeout=200)
        assert driver.returncode == 0, said
        check_curves(project, uri=uri)


def test_a_full_storage_fails_the_trials_and_goes_on_when_there_is_room(project):
    small = project / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(small)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small volume needs root")
    try:
        kill_driver_when(
            project, "full_storage", lambda: any(small.glob("kick/*/trials/*/rows.jsonl")), pause=0.2
        )
        ballast = small / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as f:
            f.write(bytes(4 << 20))
        done = drill("full_storage", project)
        assert done.returncode != 0
        assert "No space left" in done.stderr
        ballast.unlink()
        done = drill("full_storage", project)
        assert done.returncode == 0, done.stderr
        check_curves(project)
    finally:
        subprocess.run(["umount", str(small)], check=True)
        shutil.rmtree(small)


def test_a_sweep_that_asks_for_999_gib_ends_in_a_sentence(project):
    """Issue 21, 7: it waited for such a machine in silence, for ever."""
    done = drill("too_large", project)
    assert done.returncode != 0
    assert "sweep kick: Ray on this machine: " in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert (
        "A trial of the kick sweep asks for 1 CPU, 999 GiB, and no machine of the Ray cluster has that"
        in last
    )
    assert "params.yaml: sweep.resources" in last
    # The sweep's own run does not stay RUNNING.
    assert [r.status for r in runs_of(project, "sweep")] == ["FAILED"]
    assert runs_of(project, "trial") == []
