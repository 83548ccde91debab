import subprocess
from pathlib import Path

import pytest

from dose.tracking import lineage, lineage_tags


def git(root: Path, *args: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t", *args]
    return subprocess.check_output(command, cwd=root, text=True, stderr=subprocess.DEVNULL).strip()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A repository with the code that runs, and dvc.lock."""
    root = tmp_path / "project"
    code = root / "src" / "dose"
    code.mkdir(parents=True)
    git(root, "init")
    (root / "dvc.lock").write_text("schema: '2.0'\n")
    (code / "__init__.py").write_text("")
    git(root, "add", ".")
    git(root, "commit", "-m", "x")
    monkeypatch.setattr(lineage, "CODE", code)
    return root


def test_tags_follow_the_repository_and_the_lock(project):
    clean = lineage_tags(project)
    assert clean["mlflow.source.git.commit"] == git(project, "rev-parse", "HEAD")
    assert clean["dose.git_dirty"] == "false"
    (project / "dvc.lock").write_text("schema: '2.0'\nstages: {}\n")
    dirty = lineage_tags(project)
    assert dirty["dose.git_dirty"] == "true"
    assert dirty["dose.dvc_lock"] != clean["dose.dvc_lock"]
    assert dirty["mlflow.source.git.commit"] == clean["mlflow.source.git.commit"]


def test_the_commit_is_that_of_the_code_and_not_of_the_working_folder(project, tmp_path):
    """Issue 21, 1: a run in another tree was tagged with that tree's commit, whatever code it ran."""
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init")
    (other / "dvc.lock").write_text("schema: '2.0'\n")
    git(other, "add", ".")
    git(other, "commit", "-m", "another")
    tags = lineage_tags(other)
    assert tags["mlflow.source.git.commit"] == git(project, "rev-parse", "HEAD")
    assert tags["dose.dvc_lock"] != "unknown"


def test_a_package_installed_inside_the_project_has_no_commit(project, monkeypatch):
    """git finds the project above an environment in it, but the package in it may be of any commit."""
    installed = project / ".venv" / "dose"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    monkeypatch.setattr(lineage, "CODE", installed)
    assert lineage_tags(project)["mlflow.source.git.commit"] == "unknown"


def test_no_repository_is_said_as_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(lineage, "CODE", tmp_path)
    tags = lineage_tags(tmp_path)
    assert tags["mlflow.source.git.commit"] == tags["dose.git_dirty"] == tags["dose.dvc_lock"] == "unknown"
    assert "GiB" in tags["dose.hardware"]
