"""`dose evaluate --bundle`: a folder or a registry alias, scored with a real codec, without DVC."""

import json

import pytest
import tiny_bundle
from drum_sounds import write_items

from dose import cli, files
from dose.bundle import open_bundle
from dose.drums import DRUMS
from dose.evaluate.systems import LARSNETS
from dose.registry.registry import Registry


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A bundle on the real codec with small untrained models."""
    return tiny_bundle.make(tmp_path_factory.mktemp("models"), frames=8)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A project's folder with five test items and nothing else."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for item in write_items(tmp_path / "data/rmod/audio/test", 5):
        files.write_json(item.mix.parent / "hits.json", {drum: [0.0] for drum in DRUMS})
    return tmp_path


@pytest.mark.slow
def test_a_bundle_is_scored_beside_the_baselines_that_need_no_download(here, bundle, capsys):
    assert cli.main(["evaluate", "--bundle", str(bundle), "--data", "rmod", "--n", "5", "--baselines"]) == 0
    printed = capsys.readouterr().out
    assert "Classifier accuracy and memorisation are left out" in printed
    assert (here / "data/scores/summary.md").read_text() in printed
    metrics = json.loads((here / "data/scores/metrics.json").read_text())["rmod"]
    assert set(metrics) == {"Reconstruction", "Separation (HPSS)", LARSNETS["shipped"], "DOSE"}
    for scores in metrics.values():
        for drum in DRUMS:
            assert scores[drum]["mss"]["n"] == 5
            assert scores[drum]["mss"]["low"] <= scores[drum]["mss"]["value"] <= scores[drum]["mss"]["high"]
    for drum in DRUMS:
        assert metrics["Reconstruction"][drum]["mss"]["value"] < metrics["DOSE"][drum]["mss"]["value"]


@pytest.mark.slow
def test_a_registry_alias_is_resolved_to_its_bundle(here, bundle, capsys):
    Registry().register(open_bundle(bundle), tags={})
    for _ in range(2):
        assert cli.main(["evaluate", "--bundle", "champion", "--n", "2", "--json"]) == 0
    printed = capsys.readouterr().out
    assert json.loads(printed[printed.rindex('{\n  "rmod"') :])["rmod"]["DOSE"]["kick"]["mss"]["n"] == 2
    assert len(list((here / "data/cache/evaluate/outputs").iterdir())) == 1  # generated once
    [assembled] = (here / "data/cache/evaluate/bundles").iterdir()
    assert assembled.name == "champion-kick1-snare1-hihat1"
    assert open_bundle(assembled).drums == tuple(DRUMS)
    for drum in DRUMS:
        weights = [
            files.sha256(next(open_bundle(b).checkpoint(drum).glob("*.safetensors")))
            for b in (assembled, bundle)
        ]
        assert weights[0] == weights[1]
    assert cli.main(["evaluate", "--bundle", "nobody", "--n", "2"]) == 1
    assert "neither a folder nor an alias" in capsys.readouterr().err
