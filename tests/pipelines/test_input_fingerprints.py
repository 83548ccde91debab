"""What a user puts beside the project makes the stage that reads it stale, and no other (issue 21, 4)."""

import json
import os
from pathlib import Path

import pytest
import yaml

from pipelines import closure, inputs

ENTRY = {"path": "mine", "licence": "CC0-1.0", "author": "me", "split": "auto"}
# Path of a new file -> the stage that reads it, with all optional inputs named in params.yaml.
READERS = {
    "mine/kick/boom.wav": "sources",
    "data/archives/hydrogen-data/kit/snare.flac": "sources",
    "data/archives/lmms-common/hat.ogg": "sources",
    "fonts/general.sf2": "sources",
    "groove/drummer1/1.mid": "rmod",
    "weights/dac.pth": "codec",
    "weights/vggish-10086976.pth": "evaluate",
    "weights/clap/model.safetensors": "evaluate",
    "weights/encodec_24khz-d7cc33bc.th.sha256": "evaluate",
    "data/larsnet/kick/weights.safetensors": "evaluate",
    "other-kit/bundle.json": "evaluate",
}
NOT_READ = (
    "groove/drummer1/1.wav",
    "data/archives/unlisted/kick.wav",
    "weights/other.pth",
    "mine/.DS_Store",
    "yours/kick/boom.wav",
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    params = yaml.safe_load((closure.ROOT / "params.yaml").read_text())
    params["sources"] |= {
        "folders": [ENTRY],
        "packages": ["hydrogen-data"],
        "validation_packages": ["lmms-common"],
        "soundfonts": ["timgm6mb", "fonts/general.sf2"],
    }
    params["rmod"]["groove"]["folder"] = "groove"
    params["codec"]["source"] = "official"
    params["codec"]["official"]["weights"] = "weights/dac.pth"
    params["evaluate"] |= {"larsnet": "data/larsnet", "bundles": ["shipped", "other-kit"]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    put(tmp_path / "weights/dac.pth", "official")  # otherwise it is downloaded
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(path: Path, text: str = "content") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def fingerprints() -> dict[str, str]:
    inputs.main()
    return {p.stem: p.read_text() for p in inputs.OUT.iterdir()}


@pytest.mark.parametrize("path", READERS)
def test_a_file_added_or_changed_changes_its_stage_alone(project, path):
    for text in ("added", "changed"):
        before = fingerprints()
        put(project / path, text)
        after = fingerprints()
        assert {stage for stage in after if after[stage] != before[stage]} == {READERS[path]}


def test_what_no_stage_reads_changes_nothing(project):
    before = fingerprints()
    for path in NOT_READ:
        put(project / path)
    assert fingerprints() == before


def test_equal_files_are_equal_wherever_and_whenever_they_were_written(project):
    put(project / "mine/kick/boom.wav")
    before = fingerprints()
    os.utime(project / "mine/kick/boom.wav", (0, 0))
    assert fingerprints() == before
    (project / "mine/kick/boom.wav").rename(project / "mine/kick/bang.wav")
    assert fingerprints()["sources"] != before["sources"]


def test_a_file_is_hashed_once(project, monkeypatch):
    put(project / "mine/kick/boom.wav")
    before = fingerprints()
    monkeypatch.setattr(inputs.files, "sha256", lambda path: pytest.fail(f"{path} is hashed again"))
    assert fingerprints() == before


def test_an_experiments_workspace_has_the_projects_inputs(project, monkeypatch):
    """DVC copies tracked files alone to it: a package would look removed, and its stage run and fail."""
    for path in READERS:
        put(project / path)
    before = fingerprints()
    workspace = project / ".dvc/tmp/exps/one"
    put(workspace / "params.yaml", (project / "params.yaml").read_text())
    monkeypatch.setenv("DVC_ROOT", str(project))
    monkeypatch.chdir(workspace)
    assert fingerprints() == before
    assert (workspace / "mine/kick/boom.wav").read_text() == "content"


def test_each_stage_depends_on_its_own_fingerprint():
    inputs_of = {
        name: [d for d in stage["deps"] if d.startswith("data/inputs")]
        for name, stage in yaml.safe_load(closure.DVC.read_text())["stages"].items()
    }
    assert {name: deps for name, deps in inputs_of.items() if deps} == {
        name: [f"data/inputs/{name}.json"] for name in set(READERS.values())
    }


def test_a_stages_fingerprint_says_what_was_found(project):
    put(project / "mine/kick/boom.wav")
    found = json.loads(fingerprints()["sources"])
    assert found["mine"]["files"] == 1
    assert found["data/archives/hydrogen-data"] is None
