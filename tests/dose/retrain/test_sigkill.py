"""SIGKILL of the real process around and within each phase; git, dvc, MLflow and the Bento store are real."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import small_project

from dose import audio
from dose.bundle import open_bundle
from dose.drums import DRUMS
from dose.registry.registry import Registry
from dose.retrain.run_state import PHASES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Small:
    def __init__(self, root: Path) -> None:
        self.root, self.sounds = root, 0
        small_project.make(root)

    def add_sound(self) -> None:
        self.sounds += 1
        time = np.arange(9000) / 44100
        sound = 0.5 * np.sin(2 * np.pi * (80 + 5 * self.sounds) * time) * np.exp(-20 * time)
        audio.write(self.root / "incoming" / "kick" / f"{self.sounds}.wav", sound.astype(np.float32))
        (self.root / "incoming" / "licence.yaml").write_text("licence: CC0-1.0\nauthor: me\n")

    def start(self, *kill: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, small_project.__file__, *kill],
            cwd=self.root,
            env=small_project.environment(self.root),
            capture_output=True,
            text=True,
            check=False,
        )

    def live(self):
        return open_bundle(self.root / "data" / "registry" / "live")

    def complete(self) -> None:
        done = self.start()
        assert done.returncode == 0, done.stdout + done.stderr
        assert "promoted." in done.stdout
        self.check(runs=self.sounds)

    def check(self, runs: int) -> None:
        """After `runs` promotions nothing is left over anywhere, and nothing is missing."""
        home = self.root / "data" / "retrain"
        assert not (home / "run_state.json").exists()
        assert not (home / "lock.json").exists()
        assert sorted(p.name for p in home.iterdir() if p.name.startswith("work")) == []
        assert len(list(home.glob("runs/*/report.html"))) == runs
        assert small_project.run(self.root, "git", "worktree", "list").count("\n") == 1
        assert small_project.run(self.root, "git", "branch", "--list", "retrain/*").count("\n") == runs
        assert small_project.run(self.root, "git", "status", "--porcelain") == ""
        self.check_mlflow(runs)
        self.check_dvc()
        bentos = [b["tag"] for b in json.loads(small_project.run(self.root, "bentoml", "list", "-o", "json"))]
        assert len(bentos) == runs
        live = open_bundle(self.root / "data" / "registry" / "live").version
        assert [b for b in bentos if live.removeprefix("dose-") in b]
        assert not list((self.root / "bentoml" / "tmp").glob("*"))

    def check_mlflow(self, runs: int) -> None:
        registry = Registry(root=self.root)
        tracker = registry.tracker
        found = list(tracker.runs({}))
        assert len(found) == runs * len(DRUMS)
        assert {r.status for r in found} == {"FINISHED"}
        models = tracker.client.search_logged_models([tracker.experiment_id])
        assert len(models) == runs * len(DRUMS)
        assert {m.status.name for m in models} == {"READY"}
        for drum in DRUMS:
            versions = registry.versions(drum)
            assert [v.version for v in versions] == list(range(1, runs + 1))
            assert all(v.run_id in {r.id for r in found} for v in versions)
            wanted = {"champion": runs} | ({"previous": runs - 1} if runs > 1 else {})
            assert registry.aliases(drum) == wanted
        artifacts = self.root / "mlartifacts" / "dose"
        kept = {r.id for r in found} | {m.model_id for m in models} | {"models"}
        assert {p.name for p in (*artifacts.iterdir(), *(artifacts / "models").iterdir())} == kept
        assert len([c for c in registry.history() if c.action == "promote"]) == (runs - 1) * len(DRUMS)

    def check_dvc(self) -> None:
        """Every object in the cache belongs to a commit of some branch."""
        output = small_project.run(self.root, "dvc", "gc", "--all-branches", "--dry", "--force")
        assert "No unused" in output
        assert "Removed" not in output, output


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    made = Small(tmp_path_factory.mktemp("small"))
    made.add_sound()
    first = made.start()
    assert first.returncode == 0, first.stdout + first.stderr
    assert "promoted. The first models went into service." in first.stdout
    return made


def test_a_whole_run(small):
    """Real git, dvc, MLflow and Bento store: promoted, reported, traced back, and then nothing to do."""
    small.check(runs=small.sounds)
    small.add_sound()
    done = small.start()
    assert done.returncode == 0, done.stderr
    assert "kick, snare, hihat promoted" in done.stdout
    small.check(runs=small.sounds)
    assert small.start().stdout.startswith("idle.")
    (bento, *_) = [
        b["tag"]
        for b in json.loads(small_project.run(small.root, "bentoml", "list", "-o", "json"))
        if open_bundle(small.root / "data/registry/live").version.removeprefix("dose-") in b["tag"]
    ]
    lineage = small_project.run(small.root, "dose", "registry", "lineage", bento)
    for drum in DRUMS:
        assert f"dose-{drum} {small.sounds} (champion)" in lineage
        assert f"{drum} trial, FINISHED" in lineage
    assert "data/sweep/kick is " in lineage
    assert lineage.count("sources: the project's own, intake/") == len(DRUMS)


@pytest.mark.parametrize("when", ["after", "within"])
def test_a_run_that_is_killed_in_every_phase_is_completed(small, when):
    """Each start goes on where the one before was killed, gets one phase further and is killed there."""
    small.add_sound()
    for phase in PHASES:
        killed = small.start(phase, when)
        assert killed.returncode == -signal.SIGKILL, f"{phase}\n{killed.stdout}{killed.stderr}"
        assert small.live().drums == DRUMS  # servable at once
    small.complete()


@pytest.mark.parametrize("phase", ["promote", "bento"])
def test_a_killed_start_is_completed_by_the_next(small, phase):
    small.add_sound()
    assert small.start(phase, "within").returncode == -signal.SIGKILL
    assert small.live().drums == DRUMS
    small.complete()
