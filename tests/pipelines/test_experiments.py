"""Experiments as DVC runs them: which code they run, and where their MLflow runs are."""

import os
import subprocess

import pytest
import yaml
from dag import Project

from dose.tracking import Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# A stage that logs a run with the code it ran, like those of the sweep in all but the training.
STAGE = """
from pathlib import Path
import dose
from dose.tracking import Tracker, lineage_tags

MARK = "committed"
tracker = Tracker("dose")
tracker.ensure_store()
run = tracker.open_run(MARK, MARK)
tracker.set_tags(run, lineage_tags() | {"code": str(Path(dose.__file__).parents[1]), "mark": MARK})
tracker.end_run(run, "FINISHED")
Path("data/probe").mkdir(parents=True)
Path("data/probe/mark").write_text(MARK)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Project:
    project = Project(tmp_path_factory.mktemp("experiments"))
    # Without the path that the other tests set: the environment's own dose is that of another tree.
    project.more = {"PYTHONPATH": ""}
    (project.folder / "pipelines" / "probe.py").write_text(STAGE)
    stage = {"cmd": "exec python -m pipelines.probe", "deps": ["pipelines"], "outs": ["data/probe"]}
    (project.folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"probe": stage}}))
    commit(project, "the stage")
    return project


def commit(project: Project, message: str) -> str:
    project.run("git", "add", "-A")
    project.run("git", "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-qm", message)
    return project.run("git", "rev-parse", "HEAD").strip()


def mark(project: Project, text: str) -> None:
    stage = project.folder / "pipelines" / "probe.py"
    lines = stage.read_text().splitlines()
    stage.write_text("\n".join(f'MARK = "{text}"' if x.startswith("MARK =") else x for x in lines) + "\n")


def run_of(project: Project, key: str):
    found = Tracker("dose", uri=f"sqlite:///{project.folder / 'mlflow.db'}", root=project.folder).find_run(
        key
    )
    assert found is not None, f"no run of {key} in the project's store"
    return found


def test_a_temporary_and_a_queued_experiment_run_their_own_code_and_keep_their_runs(project):
    """Issue 21, 1 and 2: they ran the installed tree's code, and their runs were deleted with them."""
    head = project.run("git", "rev-parse", "HEAD").strip()
    for text, options in (("temp", ["--temp"]), ("queued", ["--queue"])):
        mark(project, text)
        project.run("dvc", "exp", "run", *options, "probe")
        if text == "queued":
            mark(project, "later")  # the experiment has the code of the moment in which it was queued
            project.run("dvc", "exp", "run", "--run-all")
        run = run_of(project, text)
        assert run.status == "FINISHED"
        assert run.tags["code"].startswith(str(project.folder / ".dvc" / "tmp" / "exps"))
        assert run.tags["mlflow.source.git.commit"] == head
        assert run.tags["dose.git_dirty"] == "true"


def test_two_worktrees_run_side_by_side(project, tmp_path):
    mark(project, "first")
    first = commit(project, "first")
    mark(project, "second")
    second = commit(project, "second")
    running = {}
    for name, at in (("first", first), ("second", second)):
        project.run("git", "worktree", "add", "-q", "--detach", str(tmp_path / name), at)
        environment = project.environment | {"MLFLOW_TRACKING_URI": f"sqlite:///{project.folder}/mlflow.db"}
        log = open(tmp_path / f"{name}.log", "w")  # noqa: SIM115 - the process owns it
        running[name] = subprocess.Popen(
            ["dvc", "repro", "probe"], cwd=tmp_path / name, env=environment, stdout=log, stderr=log
        )
    for name, process in running.items():
        assert process.wait() == 0, (tmp_path / f"{name}.log").read_text()
        tags = run_of(project, name).tags
        assert tags["code"] == os.fspath(tmp_path / name / "src")
        assert tags["mlflow.source.git.commit"] == {"first": first, "second": second}[name]
        assert tags["dose.git_dirty"] == "false"
