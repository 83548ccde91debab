"""The package stage on synthetic sweeps: one bundle, one version per drum, idempotent."""

import shutil
import subprocess
import sys

import pytest
import yaml

from dose import files
from dose.bundle import LIVE, SHIPPED, default_bundle
from dose.errors import MissingInputError
from dose.registry.registry import Registry
from dose.sweep.table import Trial, write_tables
from pipelines import package


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    params = {
        "package": {"register": True, "first_champion": "trained", "bento": False, "calibration_mixes": 0}
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    (tmp_path / "data" / "codec").mkdir(parents=True)
    files.write_json(tmp_path / "data" / "codec" / "codec.json", {"id": "codec-1"})
    (tmp_path / "data" / "transcription").mkdir()
    (tmp_path / "data" / "transcription" / "network.safetensors").write_text("network")
    for drum in ("kick", "snare", "hihat"):
        sweep = tmp_path / "data" / "sweep" / drum
        (sweep / "best").mkdir(parents=True)
        (sweep / "best" / "weights.safetensors").write_text(drum)
        meta = {"codec_id": "codec-1", "data_id": "data-1", "drum": drum, "steps": 40}
        files.write_json(sweep / "best" / "model.json", {"meta": meta})
        trial = Trial(
            id="t0",
            hyper={"onset_weight": 1.0},
            status="FINISHED",
            stopped="done",
            steps=40,
            score=1.0,
            metrics={"val/mss": 1.0},
        )
        about = {"drum": drum, "sweep": f"sweep-{drum}", "select": "val/mss", "best": "t0", "ablation": "t0"}
        curve = [{"step": 20, "val/mss": 2.0}, {"step": 40, "val/mss": 1.0}]
        write_tables(sweep, [trial], {"t0": curve}, about)
    return tmp_path


def test_packaging_twice_registers_once_and_links_the_run(project):
    run = Registry().tracker.open_run("sweep-kick/t0", "trial")
    package.main()
    first = files.read_json(project / "data" / "package" / "package.json")
    package.main()
    assert files.read_json(project / "data" / "package" / "package.json") == first
    assert first["models"]["dose-kick"] == {"version": 1, "aliases": ["champion"]}
    (version,) = Registry().versions("kick")
    assert version.run_id == run
    assert version.tags["dose.data_id"] == "data-1"
    assert len(Registry().history()) == 3


def test_the_shipped_models_are_the_first_champions(project):
    params = project / "params.yaml"
    params.write_text(params.read_text().replace("trained", "shipped"))
    for _ in range(2):
        package.main()
        packaged = files.read_json(project / "data" / "package" / "package.json")
        assert packaged["models"]["dose-snare"] == {"version": 2, "aliases": ["challenger"]}
        assert Registry().aliases("kick") == {"champion": 1, "challenger": 2}
    live = default_bundle()
    assert live == LIVE
    weights = "hihat/weights.safetensors"
    assert (live / weights).read_bytes() == (SHIPPED / weights).read_bytes()


def test_the_bundle_gets_the_scores_of_its_system(project):
    cell = {"value": 0.5, "n": 3, "low": 0.4, "high": 0.6}
    table = {"rmod": {"DOSE": {"kick": {"mss": cell}}, "Reconstruction": {"kick": {"mss": {"value": 0.1}}}}}
    files.write_json(package.SCORES, table)
    assert package.scores(package.SCORES) == {"kick": {"rmod": {"mss": 0.5}}, "snare": {}, "hihat": {}}


def test_a_missing_sweep_is_one_sentence(project, monkeypatch):
    (project / "data" / "sweep" / "snare" / "best" / "model.json").unlink()
    root = package.__file__.rsplit("/pipelines/", 1)[0]
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.package"],
        capture_output=True,
        text=True,
        cwd=project,
        env={"PYTHONPATH": f"{root}:{root}/src", "PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("package: data/")
    assert "model.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_old_name_of_the_first_champion_is_read(project):
    old = {"register": True, "start": "own", "bento": False, "calibration_mixes": 0}
    (project / "params.yaml").write_text(yaml.safe_dump({"package": old}))
    assert package.load_section().first_champion == "trained"


def test_a_fresh_clone_gets_back_what_dvc_pull_does_not(project, tmp_path_factory, monkeypatch):
    """Issue 21, 3: runs, registry and Bentos were lost with the machine."""
    package.main()
    before = files.read_json(project / "data" / "package" / "package.json")
    live = files.read_json(project / LIVE / "bundle.json")["drums"]
    clone = tmp_path_factory.mktemp("clone") / "project"
    shutil.copytree(project, clone, ignore=shutil.ignore_patterns("mlflow.db*", "mlartifacts", "registry"))
    monkeypatch.chdir(clone)
    for _ in range(2):  # a second time changes nothing
        package.main(["--restore"])
        registry = Registry()
        (version,) = registry.versions("kick")
        assert {"version": version.version, "aliases": list(version.aliases)} == before["models"]["dose-kick"]
        run = registry.tracker.run(version.run_id)
        assert (run.name, run.status, run.params["onset_weight"]) == (
            "kick onset_weight=1",
            "FINISHED",
            "1.0",
        )
        assert registry.tracker.curve(run.id, "val/mss") == [(20, 2.0), (40, 1.0)]
        assert registry.tracker.find_run("sweep-kick").status == "FINISHED"
        assert len(list(registry.tracker.runs({"dose.kind": "trial"}))) == 3
        assert files.read_json(clone / LIVE / "bundle.json")["drums"] == live
    assert files.read_json(clone / "data" / "package" / "package.json") == before


def test_without_the_pulled_outputs_restoring_is_one_sentence(project):
    with pytest.raises(MissingInputError, match="dvc pull"):
        package.main(["--restore"])
