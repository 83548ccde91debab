"""Which packages each stage depends on, and that a change elsewhere leaves the training clean."""

import json
from pathlib import Path

import pytest
import yaml
from dag import Project

from pipelines import closure

# Single modules that every stage's script needs.
BASE = {"dose.config", "dose.drums", "dose.errors", "dose.files"}
# Of every stage that reads audio.
BASE |= {"dose.audio", "dose.containers", "dose.ffmpeg"}
# The packages of dose on which each stage may depend besides. Adding one is a decision: from then on its
# changes make the stage, and all later ones, run again.
MAY_RERUN = {
    "inputs": {"codec", "compute", "evaluate", "sources", "tracking"},
    "sources": {"sources"},
    "rmod": {"cluster", "rmod", "sources"},
    "codec": {"cluster", "codec", "compute", "rmod", "sources", "tracking"},
    "transcription": {"cluster", "compute", "dsp", "rmod", "sources", "tracking", "transcription"},
    "tokens": {"cluster", "codec", "compute", "dsp", "rmod", "sources", "tokens", "transcription"},
    "sweep": {
        "bundle", "cluster", "codec", "compute", "dsp", "metrics", "model", "sweep", "tokens", "tracking",
        "train",
    },
    "evaluate": {
        "baselines", "bundle", "cluster", "codec", "compute", "evaluate", "extract", "metrics", "model",
        "rmod", "sources", "tokens", "tracking", "transcription", "dsp",
    },
    "package": {
        "api", "bundle", "cluster", "codec", "compute", "extract", "kits", "metrics", "model", "registry",
        "rmod", "sources", "sweep", "tokens", "tracking", "train", "transcription", "dsp",
    },
}  # fmt: skip
# What a stage packs beside its script: the Bento's service.
PACKED = {"package": {"serving"}}
TRAINING = ("sources", "rmod", "codec", "transcription", "tokens", "sweep")
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
    assert {d for d in _stages()[stage] if not d.startswith("src/")} == scripts | PACKED.get(stage, set())


def test_every_stage_is_listed():
    assert _stages().keys() == MAY_RERUN.keys()


@pytest.mark.parametrize("path", NOT_TRAINED_ON)
def test_no_training_stage_depends_on_what_only_uses_models(path):
    assert (closure.ROOT / path).is_file()
    for stage in TRAINING:
        assert not [d for d in _stages()[stage] if path == d or path.startswith(f"{d}/")], stage


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    """A copy of the project in which dvc takes every stage for done: each output holds one small file."""
    project = Project(tmp_path_factory.mktemp("reproduced"))
    project.pretend_outputs()
    project.run("dvc", "commit", "-f", "-q")
    assert _changed_stages(project) == set()
    return project


def _changed_stages(project: Project) -> set[str]:
    """Less the stage of the fingerprints, which always runs."""
    changed = json.loads(project.run("dvc", "status", "--json"))
    return {name.partition("@")[0] for name in changed} - {"inputs"}


@pytest.mark.parametrize("path", NOT_TRAINED_ON)
def test_dvc_finds_the_training_unchanged_after_a_new_line_elsewhere(reproduced, path):
    file = reproduced.folder / path
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    try:
        assert _changed_stages(reproduced) <= {"evaluate", "package"}
    finally:
        file.write_bytes(content)


def test_dvc_finds_the_sweeps_changed_after_a_new_line_in_the_model(reproduced):
    file = reproduced.folder / "src/dose/model/loss.py"
    content = file.read_bytes()
    file.write_bytes(content + b"\n")
    try:
        assert _changed_stages(reproduced) == {"sweep", "evaluate", "package"}
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize(
    ("path", "before", "after", "stages"),
    [
        # Issue 21, 4: an older Bento went on serving.
        ("serving/web/style.css", "", "\n", {"package"}),
        ("src/dose/kits/write.py", "", "\n", {"package"}),
        ("params.yaml", "burst: 100", "burst: 101", {"package"}),
    ],
)
def test_dvc_finds_the_stages_that_a_change_concerns(reproduced, path, before, after, stages):
    file = reproduced.folder / path
    content = file.read_text()
    assert before in content
    file.write_text(content.replace(before, after) if before else content + after)
    try:
        assert _changed_stages(reproduced) == stages
    finally:
        file.write_text(content)


def test_a_sound_added_to_a_users_folder_makes_the_sources_stale(reproduced):
    """Issue 21, 4: dvc said "up to date"."""
    params = reproduced.folder / "params.yaml"
    content = params.read_text()
    entry = "folders: [{path: mine, licence: CC0-1.0, author: me, split: auto}]"
    params.write_text(content.replace("folders: []", entry))
    (reproduced.folder / "mine" / "kick").mkdir(parents=True)
    try:
        reproduced.repro("inputs")
        reproduced.run("dvc", "commit", "-f", "-q", "sources")
        assert _changed_stages(reproduced) == set()
        (reproduced.folder / "mine" / "kick" / "boom.wav").write_bytes(b"boom")
        reproduced.repro("inputs")
        assert _changed_stages(reproduced) == {"sources"}
    finally:
        params.write_text(content)
