"""The stages of a tree run that tree's code, whichever tree is installed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# Prints which dose the stage has, and which one a process that it starts.
PROBE = """
import subprocess, sys
import dose
print(dose.__file__)
sys.exit(subprocess.run([sys.executable, "-c", "import dose; print(dose.__file__)"]).returncode)
"""


def plant(tree: Path) -> Path:
    """A tree with the project's pipelines/__init__.py, a stage `probe` and a `dose` of two small files."""
    (tree / "pipelines").mkdir(parents=True)
    (tree / "src" / "dose").mkdir(parents=True)
    shutil.copy(ROOT / "pipelines" / "__init__.py", tree / "pipelines")
    (tree / "pipelines" / "probe.py").write_text(PROBE)
    (tree / "src" / "dose" / "__init__.py").write_text("")
    (tree / "src" / "dose" / "files.py").write_text("def die_with_parent(): pass\n")
    return tree


def probe(tree: Path, *, path: Path | str, first: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m pipelines.probe` in `tree` with PYTHONPATH `path`; `first` is code that runs before it."""
    command = ["-c", f"{first}; import runpy, sys; sys.argv[0] = '-m'; runpy.run_module('pipelines.probe')"]
    return subprocess.run(
        [sys.executable, *(command if first else ["-m", "pipelines.probe"])],
        cwd=tree, env=os.environ | {"PYTHONPATH": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_stage_and_its_processes_have_the_code_of_the_stages_tree(tmp_path):
    """Issue 21, 1: the editable install won, and an experiment reported success with another tree's code."""
    tree, other = plant(tmp_path / "tree"), plant(tmp_path / "other")
    for path in (other / "src", ""):
        done = probe(tree, path=path)
        assert done.stdout.split() == [str(tree / "src" / "dose" / "__init__.py")] * 2, done.stderr


def test_two_trees_run_side_by_side(tmp_path):
    trees = [plant(tmp_path / name) for name in ("one", "two")]
    for tree in trees:
        assert str(tree) in probe(tree, path=trees[0] / "src").stdout


@pytest.mark.parametrize("missing", [False, True])
def test_a_stage_that_has_another_trees_code_stops_with_a_sentence(tmp_path, missing):
    tree, other = plant(tmp_path / "tree"), plant(tmp_path / "other")
    if missing:
        shutil.rmtree(tree / "src" / "dose")
    done = probe(tree, path=other / "src", first="" if missing else "import dose")
    assert done.returncode == 1
    assert done.stdout == ""
    [sentence] = done.stderr.strip().splitlines()
    assert f"would run the dose of {other / 'src'}" in sentence
    assert f"PYTHONPATH={tree / 'src'}" in sentence
