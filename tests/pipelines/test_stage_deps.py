"""Which packages each stage depends on, and that a change elsewhere leaves the training clean."""

import json
from pathlib import Path

import pytest
import yaml
from dag import Project

from pipelines import closure

# Single modules that every stage's script needs.
BASE = {"dose.config", "dose.drums", "dose.errors", "dose.files"}
# Whoever reads sound.
BASE |= {"dose.audio", "dose.containers", "dose.ffmpeg"}
# What else of dose each stage may depend on. A package that is new in a row is a decision: from then on a
# change of it makes the stage, and all that follow it, run again.
MAY_RERUN = {
    "sources": {"sources"},
    "rmod": {"cluster", "rmod", "sources"},
    "codec": {"cluster", "codec", "compute", "rmod", "sources", "tracking"},
    "tokens": {"cluster", "codec", "compute", "rmod", "sources", "tokens", "transcription"},
    "sweep": {
        "bundle", "cluster", "codec", "compute", "metrics", "model", "sweep", "tokens", "tracking", "train",
        "transcription",
    },
    "evaluate": {
        "baselines", "bundle", "cluster", "codec", "compute", "evaluate", "extract", "metrics", "model",
        "rmod", "sources", "tokens", "tracking", "transcription", "dsp",
    },
    "package": {
        "bundle", "cluster", "codec", "compute", "extract", "metrics", "model", "registry", "rmod", "sources",
        "sweep", "tokens", "tracking", "train", "transcription", "dsp",
    },
}  # fmt: skip
TRAINING = ("sources", "rmod", "codec", "tokens", "sweep")
NOT_TRAINED_ON = [
    "src/dose/extract/extractor.py",
    "src/dose/evaluate/page/listening.py",
    "src/dose/evaluate/page/template.html",
    "src/dose/kits/write.py",
    "src/dose/baselines/weights/larsnet/MODEL_CARD.md",
    "src/dose/registry/gate.py",
    "serving/app.py",
    "serving/web/main.js",
]


def _stages() -> dict[str, list[str]]:
    """Stage -> the source files and folders among its deps."""
    stages = yaml.safe_load(closure.DVC.read_text())["stages"]
    return {name: [d for d in stage["deps"] if closure.is_source(d)] for name, stage in stages.items()}


def _package(path: str) -> str:
    return "dose." + Path(path).parts[2].removesuffix(".py")


@pytest.mark.parametrize("stage", MAY_RERUN)
def test_a_stage_depends_on_these_packages_and_no_others(stage):
    found = {_package(d) for d in _stages()[stage] if d.startswith("src/")} - {"dose.__init__"}
    assert found == BASE | {f"dose.{name}" for name in MAY_RERUN[stage]}
    scripts = {f"pipelines/{name}.py" for name in ("__init__", "stage", stage)}
    assert {d for d in _stages()[stage] if not d.startswith("src/")} == scripts


def test_every_stage_is_listed():
    assert _stages().keys() == MAY_RERUN.keys()


@pytest.mark.parametrize("path", NOT_TRAINED_ON)
def test_no_training_stage_depends_on_what_only_uses_models(path):
    assert (closure.ROOT / path).is_file()
    for stage in TRAINING:
        assert not [d for d in _stages()[stage] if path == d or path.startswith(f"{d}/")], stage


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A copy of the project in which dvc takes every stage for done: each output holds one small file."""
    project = Project(tmp_path_factory.mktemp("done"))
    for stage in yaml.safe_load(closure.DVC.read_text())["stages"].values():
        for drum in stage.get("matrix", {"drum": [""]})["drum"]:
            [out] = [next(iter(o)) if isinstance(o, dict) else o for o in stage["outs"]]
            folder = project.folder / out.replace("${item.drum}", drum)
            folder.mkdir(parents=True)
            (folder / "made").write_text("made")
    project.run("dvc", "commit", "-f", "-q")
    assert _stale(project) == set()
    return project


def _stale(project: Project) -> set[str]:
    return {name.partition("@")[0] for name in json.loads(project.run("dvc", "status", "--json"))}


def test_dvc_finds_the_training_clean_after_a_line_more_elsewhere(done):
    for path in NOT_TRAINED_ON:
        with open(done.folder / path, "a") as f:
            f.write("\n")
    assert _stale(done) == {"evaluate", "package"}
    with open(done.folder / "src/dose/model/loss.py", "a") as f:
        f.write("\n")
    assert _stale(done) == {"sweep", "evaluate", "package"}
