"""The Makefile's targets that need no environment: what is removed, and what is checked first."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
KEPT = ("archives", "registry", "retrain", "serving", "larsnet")


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "-f", str(ROOT / "Makefile"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path):
    """A folder with what the stages, a download and the registry leave."""
    for name in (*KEPT, *yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"], ".sweep", "cache"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for name in ("mlflow.db", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text("")
    (tmp_path / "mlartifacts").mkdir()
    return tmp_path


def test_clean_keeps_what_no_stage_makes(project):
    """Issue 21, 9: it removed hours of downloads, ingested sounds and the registry."""
    done = make(project, "clean")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (project / "data").iterdir()} == set(KEPT)
    assert (project / "mlflow.db").is_file()  # holds the registry's versions, whose files are artifacts
    assert (project / "mlartifacts").is_dir()


def test_distclean_removes_them_too(project):
    assert make(project, "distclean").returncode == 0
    assert {p.name for p in project.iterdir()} == {"requirements.lock", "pyproject.toml"}


def stub(folder: Path, name: str, code: str) -> str:
    """An interpreter that runs `code` in place of whatever it is asked."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return str(path)


def python_check() -> str:
    """The Makefile's SUITABLE, as one line of Python."""
    text = re.search(r"^SUITABLE := (.*?[^\\])$", (ROOT / "Makefile").read_text(), re.M | re.S).group(1)
    return re.sub(r"\\\n\s*", "", text)


def test_install_says_what_each_python_lacks_and_makes_nothing(project):
    """Issue 21, 9: with another Python the install failed after minutes, in the middle of the packages."""
    old = stub(project, "old", "echo 'is Python 3.10' >&2; exit 1")
    done = make(project, "install", f"PYTHON=/nowhere/python {old}")
    assert done.returncode != 0
    assert "/nowhere/python: there is none\n" in done.stderr
    assert f"{old}: is Python 3.10\n" in done.stderr
    assert "make install PYTHON=/path/to/python" in done.stderr
    assert not (project / ".venv").exists()


def test_install_takes_the_first_suitable_python(project):
    old, broken = stub(project, "old", "exit 1"), stub(project, "broken", "kill -9 $$")
    good = stub(project, "good", f'[ "$1" = -m ] && touch "{project}/took-$3"; exit 0')
    later = stub(project, "later", f'touch "{project}/took-later"')
    make(project, "install", f"PYTHON={old} {broken} {good} {later}")  # ends where pip is missing
    assert {p.name for p in project.glob("took-*")} == {"took-.venv"}


@pytest.mark.parametrize(
    ("version", "lacking", "reason"),
    [
        ((3, 11), (), None),
        ((3, 13), (), None),
        ((3, 10), (), "is Python 3.10"),
        ((3, 14), (), "is Python 3.14"),
        ((3, 12), ("ensurepip", "_ssl"), "lacks ensurepip, _ssl"),
    ],
)
def test_the_check_of_a_python(monkeypatch, version, lacking, reason):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else "found")
    with pytest.raises(SystemExit) as done:
        exec(python_check(), {})
    assert (done.value.code or None) == reason


def test_the_ui_starts_without_job_workers(project):
    """Issue 21, 9: `mlflow ui` of the README took 3.2 GB."""
    text = make(project, "-n", "ui").stdout
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1" in text
    readme = (ROOT / "README.md").read_text()
    assert "make ui" in readme
    assert "\nmlflow ui" not in readme
