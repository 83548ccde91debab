"""The worktree of a run, with the real git and a stub for dvc that logs its arguments."""

import os
import subprocess
import sys

import pytest
import yaml

from dose.errors import DoseError
from dose.retrain.worktree import Worktree

DVC = """
import os, pathlib, sys
print(*sys.argv[1:], file=open({log!r}, "a"))
if sys.argv[1] == "add":
    pathlib.Path("intake.dvc").write_text("outs")
if sys.argv[1] == "repro":
    assert os.environ["PYTHONPATH"].endswith("work/src")
    pathlib.Path("dvc.lock").write_text("made")
    sys.exit("stage sweep failed" if os.environ.get("BREAK") else 0)
"""


def git(root, *args):
    command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", *args]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def worktree(tmp_path):
    root = tmp_path / "project"
    (root / ".dvc").mkdir(parents=True)
    (root / ".dvc" / "config").write_text("")
    (root / ".gitignore").write_text("/data/\n")
    (root / "params.yaml").write_text("sources:\n  folders: []   # own sounds\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "start")
    (root / "params.yaml").write_text("sources: half an edit")  # must not reach a run
    script = tmp_path / "dvc.py"
    script.write_text(DVC.format(log=str(tmp_path / "log")))
    return Worktree(root, root / "data" / "retrain" / "work", dvc=(sys.executable, str(script)))


@pytest.fixture
def store(tmp_path):
    sound = tmp_path / "store" / "abc" / "kick" / "one.wav"
    sound.parent.mkdir(parents=True)
    sound.write_bytes(b"sound")
    return tmp_path / "store"


BATCHES = {"abc": {"licence": "CC0-1.0", "author": "me", "files": {"kick/one.wav": "1"}}}


def test_a_run_gets_the_committed_project_with_the_new_sounds(worktree, store, tmp_path):
    commit = worktree.set_up("r1", store, BATCHES)
    params = yaml.safe_load((worktree.path / "params.yaml").read_text())
    assert params["sources"]["folders"] == [
        {"path": "intake/abc", "licence": "CC0-1.0", "author": "me", "split": "train"}
    ]
    assert (worktree.path / "intake" / "abc" / "kick" / "one.wav").read_bytes() == b"sound"
    assert git(worktree.root, "rev-parse", "retrain/r1") == commit
    assert (worktree.root / "params.yaml").read_text() == "sources: half an edit"
    assert str(worktree.root / ".dvc" / "cache") in (worktree.path / ".dvc" / "config.local").read_text()
    worktree.reproduce("evaluate")
    done = worktree.publish("r1")
    assert git(worktree.root, "show", f"{done}:dvc.lock") == "made"
    assert worktree.publish("r1") == done
    assert (tmp_path / "log").read_text().split("\n")[:3] == [
        "add -q intake",
        "checkout -q --allow-missing --force",
        "repro evaluate",
    ]


def test_a_merged_batch_is_added_once_and_changes_no_key(worktree, store):
    before = worktree.params_key()
    worktree.set_up("r1", store, BATCHES)
    worktree.clear()
    git(worktree.root, "checkout", "-q", "params.yaml")
    git(worktree.root, "merge", "-q", "retrain/r1")
    assert worktree.params_key() == before
    worktree.set_up("r2", store, BATCHES)
    params = yaml.safe_load((worktree.path / "params.yaml").read_text())
    assert [f["path"] for f in params["sources"]["folders"]] == ["intake/abc"]


def test_downloads_are_linked_into_the_worktree_and_their_update_changes_the_key(worktree, store):
    (worktree.root / "params.yaml").write_text("sources:\n  packs: data/packs\n  folders: []\n")
    git(worktree.root, "commit", "-q", "-a", "-m", "packs")
    before = worktree.downloads_key()
    pack = worktree.root / "data" / "packs" / "drums" / "VERSION"
    pack.parent.mkdir(parents=True)
    pack.write_text("1.0")
    one = worktree.downloads_key()
    assert one != before
    worktree.set_up("r1", store, BATCHES)
    assert (worktree.path / "data" / "packs" / "drums" / "VERSION").read_text() == "1.0"
    worktree.clear()
    assert pack.read_text() == "1.0"  # the link went, not what it led to
    pack.write_text("1.0.1")
    assert worktree.downloads_key() != one


def test_a_users_own_untracked_sounds_are_linked_into_the_worktree_and_count_as_data(worktree, store):
    """Issue 21, 4: the run ended with "the folder does not exist"."""
    entry = "{path: mine, licence: CC0-1.0, author: me, split: auto}"
    (worktree.root / "params.yaml").write_text(f"sources:\n  folders: [{entry}]\n")
    git(worktree.root, "commit", "-q", "-a", "-m", "mine")
    before = worktree.downloads_key()
    sound = worktree.root / "mine" / "kick" / "boom.wav"
    sound.parent.mkdir(parents=True)
    sound.write_bytes(b"boom")
    assert worktree.downloads_key() != before
    worktree.set_up("r1", store, BATCHES)
    assert (worktree.path / "mine" / "kick" / "boom.wav").read_bytes() == b"boom"


def test_what_takes_no_part_in_a_run_is_told(worktree, tmp_path):
    """Issue 21, 8: hours later the models were found to be of other params."""
    [changes] = worktree.warnings()
    assert "params.yaml" in changes
    git(worktree.root, "checkout", "-q", "params.yaml")
    assert worktree.warnings() == []
    (worktree.root / "dvc.lock").write_text("made")  # a run has it as it is
    git(worktree.root, "add", "dvc.lock")
    assert worktree.warnings() == []
    git(worktree.root, "checkout", "-q", "--detach")
    assert "detached" in worktree.warnings()[0]
    elsewhere = Worktree(tmp_path / "none", tmp_path / "work")
    (tmp_path / "none").mkdir()
    assert "no git repository" in elsewhere.warnings()[0]


def test_an_empty_address_of_mlflow_is_none(worktree, monkeypatch):
    """As a workflow sets it whose repository has no such variable."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    code = "import os; print(os.environ['MLFLOW_TRACKING_URI'])"
    said = worktree._run(sys.executable, "-c", code, at=worktree.root)
    assert said.strip() == f"sqlite:///{worktree.root}/mlflow.db"


def test_the_locks_of_a_killed_git_are_no_obstacle(worktree, store):
    worktree.set_up("r1", store, BATCHES)
    worktree.reproduce("evaluate")
    (worktree.root / ".git" / "worktrees" / "work" / "index.lock").touch()
    (worktree.root / ".git" / "refs" / "heads" / "retrain" / "r1.lock").touch()
    done = worktree.publish("r1")
    assert git(worktree.root, "show", f"{done}:dvc.lock") == "made"


def test_each_run_has_a_commit_of_its_own(worktree, store):
    assert worktree.set_up("r1", store, {}) != git(worktree.root, "rev-parse", "HEAD")


def test_setting_up_twice_leaves_one_worktree_and_one_branch(worktree, store):
    worktree.set_up("r1", store, BATCHES)
    worktree.set_up("r1", store, BATCHES)
    assert git(worktree.root, "worktree", "list").count("\n") == 1
    assert git(worktree.root, "log", "--oneline", "retrain/r1").count("\n") == 1
    worktree.clear()
    assert git(worktree.root, "worktree", "list").count("\n") == 0
    assert git(worktree.root, "branch", "--list", "retrain/r1")


def test_dvcs_error_is_passed_on(worktree, store, monkeypatch):
    worktree.set_up("r1", store, BATCHES)
    monkeypatch.setitem(os.environ, "BREAK", "1")
    with pytest.raises(DoseError, match="stage sweep failed"):
        worktree.reproduce("evaluate")
    worktree.clear()
    with pytest.raises(DoseError, match="is gone"):
        worktree.reproduce()
