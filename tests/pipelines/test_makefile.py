"""The Makefile's targets that need no environment: what is removed, and what is checked first."""

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


def stub(folder: Path, code: str) -> str:
    """An interpreter that runs `code` in place of the first thing that it is asked."""
    path = folder / "python-stub"
    path.write_text(f"#!/bin/sh\n{code}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "there is no /nowhere/python"),
        ("exit 1", "is not Python 3.11"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "cannot make environments"),
    ],
)
def test_install_checks_the_interpreter_first(project, code, message):
    """Issue 21, 9: with another Python the install failed after minutes, in the middle of the packages."""
    python = "/nowhere/python" if code is None else stub(project, code)
    done = make(project, "install", f"PYTHON={python}")
    assert done.returncode != 0
    assert message in done.stderr
    assert "make install PYTHON=/path/to/python3.11" in done.stderr
    assert not (project / ".venv").exists()


def test_the_check_accepts_this_interpreter(project):
    text = make(project, "-n", "install", f"PYTHON={sys.executable}").stdout
    checks = re.findall(r"-c '([^']+)'", text)
    assert len(checks) == 2
    for check in checks:
        assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_the_ui_starts_without_job_workers(project):
    """Issue 21, 9: `mlflow ui` of the README took 3.2 GB."""
    text = make(project, "-n", "ui").stdout
    assert "MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1" in text
    readme = (ROOT / "README.md").read_text()
    assert "make ui" in readme
    assert "\nmlflow ui" not in readme
