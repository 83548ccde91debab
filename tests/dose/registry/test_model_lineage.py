"""From a version back to its run and data, on a real store with made-up models."""

import subprocess

import pytest

from dose import files
from dose.bundle import assemble
from dose.errors import DoseError, MissingInputError
from dose.registry.lineage import describe, resolve
from dose.registry.registry import Registry

PARAMS = "sources:\n  folders: [{path: intake/abc, licence: CC0-1.0, author: me, split: train}]\n"


def git(root, *args):
    command = ["git", "-c", "user.name=me", "-c", "user.email=me@example.org", *args]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def registry(own_store):
    root = own_store
    (root / "params.yaml").write_text(PARAMS)
    git(root, "init", "-q")
    git(root, "add", "params.yaml")
    git(root, "commit", "-q", "-m", "start")
    made = Registry(root=root)
    run = made.tracker.open_run("sweep/t0", "kick trial")
    made.tracker.log_params(run, {"layers": 2})
    made.tracker.log_metrics(run, [(1, 0, {"val/mss": 0.25, "train/loss": 3.0})])
    made.tracker.end_run(run, "FINISHED")
    for part, about in (("codec", {"id": "c1"}), ("kick", {"meta": {"codec_id": "c1", "drum": "kick"}})):
        (root / "made" / part).mkdir(parents=True)
        files.write_json(root / "made" / part / ("codec.json" if part == "codec" else "model.json"), about)
    bundle = assemble(
        root / "bundle", codec=root / "made" / "codec", checkpoints={"kick": root / "made" / "kick"}
    )
    tags = {
        "dose.bundle": bundle.version,
        "dose.data_id": "d1",
        "dose.dvc.tokens": "0123.dir",
        "dose.dvc.sweep.kick": "4567.dir",
        "dose.retrain": "20260302-kit",
        "mlflow.source.git.commit": git(root, "rev-parse", "HEAD"),
    }
    made.register(bundle, tags=tags, runs={"kick": run})
    return made


def test_the_lineage_of_a_version_names_run_data_and_sources(registry):
    assert resolve(registry, "kick") == resolve(registry, "dose-kick/1") == {"kick": 1}
    lines = "\n".join(describe(registry, "kick", 1, registry.tracker.root))
    assert lines.startswith("dose-kick 1 (champion)\n")
    assert "kick trial, FINISHED" in lines
    assert "layers 2, val/mss 0.25" in lines
    assert "data/tokens is 0123.dir in DVC" in lines
    assert "data/sweep/kick is 4567.dir in DVC" in lines
    assert "sources: the project's own, intake/abc" in lines
    assert "data/retrain/runs/20260302-kit/report.md" in lines
    version = registry.versions("kick")[0].tags["dose.bundle"].removeprefix("dose-")
    assert f"Bento   dose:{version}-*" in lines


def test_unknown_origins_are_reported_as_unknown(registry):
    (registry.tracker.root / ".git").rename(registry.tracker.root / "gone")
    assert "a commit that is not in this repository" in "\n".join(
        describe(registry, "kick", 1, registry.tracker.root)
    )
    with pytest.raises(MissingInputError, match="no champion"):
        resolve(registry, "snare")
    with pytest.raises(MissingInputError, match="no version 7"):
        list(describe(registry, "kick", 7))
    for wrong in ("cowbell", "kick/last"):
        with pytest.raises(DoseError, match="kick/"):
            resolve(registry, wrong)
    assert registry.tracker.run("0" * 32) is None
