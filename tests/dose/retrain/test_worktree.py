"""The worktree of a run, with the real git and a script in dvc's place that writes down how it was called."""

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
def workshop(tmp_path):
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


ABOUT = {"abc": {"licence": "CC0-1.0", "author": "me", "files": {"kick/one.wav": "1"}}}


def test_a_run_gets_the_committed_project_with_the_new_sounds(workshop, store, tmp_path):
    commit = workshop.set_up("r1", store, ABOUT)
    params = yaml.safe_load((workshop.place / "params.yaml").read_text())
    assert params["sources"]["folders"] == [
        {"path": "intake/abc", "licence": "CC0-1.0", "author": "me", "split": "train"}
    ]
    assert (workshop.place / "intake" / "abc" / "kick" / "one.wav").read_bytes() == b"sound"
    assert git(workshop.root, "rev-parse", "retrain/r1") == commit
    assert (workshop.root / "params.yaml").read_text() == "sources: half an edit"
    assert str(workshop.root / ".dvc" / "cache") in (workshop.place / ".dvc" / "config.local").read_text()
    workshop.reproduce("evaluate")
    done = workshop.publish("r1")
    assert git(workshop.root, "show", f"{done}:dvc.lock") == "made"
    assert workshop.publish("r1") == done
    assert (tmp_path / "log").read_text().split("\n")[:3] == [
        "add -q intake",
        "checkout -q --allow-missing --force",
        "repro evaluate",
    ]


def test_a_merged_branch_is_entered_no_second_time_and_changes_no_key(workshop, store):
    before = workshop.params()
    workshop.set_up("r1", store, ABOUT)
    workshop.clear()
    git(workshop.root, "checkout", "-q", "params.yaml")
    git(workshop.root, "merge", "-q", "retrain/r1")
    assert workshop.params() == before
    workshop.set_up("r2", store, ABOUT)
    params = yaml.safe_load((workshop.place / "params.yaml").read_text())
    assert [f["path"] for f in params["sources"]["folders"]] == ["intake/abc"]


def test_fetched_packages_are_found_in_the_worktree_and_their_update_is_news(workshop, store):
    (workshop.root / "params.yaml").write_text("sources:\n  packs: data/packs\n  folders: []\n")
    git(workshop.root, "commit", "-q", "-a", "-m", "packs")
    before = workshop.fetched()
    pack = workshop.root / "data" / "packs" / "drums" / "VERSION"
    pack.parent.mkdir(parents=True)
    pack.write_text("1.0")
    one = workshop.fetched()
    assert one != before
    workshop.set_up("r1", store, ABOUT)
    assert (workshop.place / "data" / "packs" / "drums" / "VERSION").read_text() == "1.0"
    workshop.clear()
    assert pack.read_text() == "1.0"  # the link went, not what it led to
    pack.write_text("1.0.1")
    assert workshop.fetched() != one


def test_the_locks_of_a_killed_git_are_no_obstacle(workshop, store):
    workshop.set_up("r1", store, ABOUT)
    workshop.reproduce("evaluate")
    (workshop.root / ".git" / "worktrees" / "work" / "index.lock").touch()
    (workshop.root / ".git" / "refs" / "heads" / "retrain" / "r1.lock").touch()
    done = workshop.publish("r1")
    assert git(workshop.root, "show", f"{done}:dvc.lock") == "made"


def test_each_run_has_a_commit_of_its_own(workshop, store):
    assert workshop.set_up("r1", store, {}) != git(workshop.root, "rev-parse", "HEAD")


def test_setting_up_twice_leaves_one_worktree_and_one_branch(workshop, store):
    workshop.set_up("r1", store, ABOUT)
    workshop.set_up("r1", store, ABOUT)
    assert git(workshop.root, "worktree", "list").count("\n") == 1
    assert git(workshop.root, "log", "--oneline", "retrain/r1").count("\n") == 1
    workshop.clear()
    assert git(workshop.root, "worktree", "list").count("\n") == 0
    assert git(workshop.root, "branch", "--list", "retrain/r1")


def test_what_dvc_says_is_passed_on(workshop, store, monkeypatch):
    workshop.set_up("r1", store, ABOUT)
    monkeypatch.setitem(os.environ, "BREAK", "1")
    with pytest.raises(DoseError, match="stage sweep failed"):
        workshop.reproduce("evaluate")
    workshop.clear()
    with pytest.raises(DoseError, match="is gone"):
        workshop.reproduce()
